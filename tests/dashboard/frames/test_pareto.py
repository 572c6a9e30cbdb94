from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.making import write_run, write_tables
from tests.dashboard.making_studies import write_study
from tests.dashboard.pruning_making import TIMES, write_pruning
from winnow.dashboard.frames import pareto
from winnow.dashboard.frames.pareto import Reached
from winnow.dashboard.frames.summaries import summaries, summary
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.tasks import TASKS

DELTA = Reached("test", "seg+depth", against="dense", definition="main")


@pytest.fixture
def study(the_study: Study) -> Study:
    return the_study


def test_what_can_be_removed_is_taken_away(study: Study) -> None:
    found = pareto.of_study(study, DELTA, "macs")
    costs = found.groupby("title")["cost"].unique().map(list).to_dict()
    assert costs == {"dense": [1e6], "sparse 50 %": [7.5e5], "magnitude 50 %": [7.5e5]}
    assert len(found) == 9


def test_delta_is_that_of_the_engine(study: Study) -> None:
    found = pareto.of_study(study, DELTA, "macs").set_index("run")["reached"]
    known = study.table("delta").query("split == 'test' and against == 'dense' and definition == 'main'")
    known = known[known["subset"] == "seg+depth"].set_index("run")["delta"]
    pd.testing.assert_series_equal(found.sort_index(), known.sort_index(), check_names=False)


def test_seeds_become_one_point_with_its_interval(study: Study) -> None:
    points = pareto.of_study(study, DELTA, "macs")
    found = pareto.pareto_groups(points, higher=True).set_index("title")
    assert found["seeds"].tolist() == [3, 3, 3]
    sparse = points[points["title"] == "sparse 50 %"]["reached"]
    assert found.loc["sparse 50 %", "reached"] == pytest.approx(sparse.mean())
    assert found.loc["sparse 50 %", "low"] < sparse.mean() < found.loc["sparse 50 %", "high"]
    assert found["front"].to_dict() == {"dense": False, "sparse 50 %": True, "magnitude 50 %": False}


def test_a_metric_of_which_less_is_better(study: Study) -> None:
    reached = Reached("val", "depth", "depth", "abs_error", higher=False)
    points = pareto.of_study(study, reached, "parameters")
    assert set(points["title"]) == {"dense", "sparse 50 %"}
    found = pareto.pareto_groups(points, higher=False).set_index("title")
    assert found.loc["sparse 50 %", "cost"] == pytest.approx(650)
    assert found.loc["sparse 50 %", "front"]


def test_latency_is_that_of_a_pruning_and_runs_without_one_are_left_out(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"], seeds=[0, 1])
    run = study.run("sparse-target-50/seg+depth/equal/1")
    write_pruning(run)
    (row,) = pareto.of_study(study, DELTA, "latency").to_dict("records")
    assert (row["run"], row["cost"]) == (run.id, TIMES[1, "eager"][2])


def test_all_runs_of_a_task_stand_together_but_for_their_seeds(study: Study) -> None:
    metric = TASKS["segmentation"].metrics[0]
    known = [summary(study.run(key)) for key in study.members()["key"]]
    points = pareto.of_runs(known, study.root, ("seg", metric), "macs")
    trained = study.members().query("subset != 'depth'")
    assert points["run"].tolist() == trained["run"].tolist()
    found = pareto.pareto_groups(points, higher=True)
    # the made-up runs of a control have the description of the dense one: repeated seeds count once
    assert found["seeds"].sum() == len(points.drop_duplicates(["group", "seed"]))
    assert (found["seeds"] == 3).all()


def test_the_same_seed_twice_is_one_seed_and_the_newest_counts() -> None:
    points = pd.DataFrame(
        {
            "group": "g",
            "title": "t",
            "arm": "",
            "seed": [0, 0],
            "run": ["new", "old"],
            "cost": [1.0, 9.0],
            "reached": 1.0,
        }
    )
    (row,) = pareto.pareto_groups(points, higher=True).to_dict("records")
    assert (row["run"], row["seeds"], row["cost"]) == ("new", 1, 1.0)


def test_a_run_without_tables_has_no_cost(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    run = study.run("dense/seg+depth/equal/0")
    (run.path / "tables" / "components.parquet").unlink()
    points = pareto.of_runs(summaries(), study.root, ("seg", TASKS["segmentation"].metrics[0]), "macs")
    assert run.id not in points["run"].tolist()
    assert Run(run.path).id == run.id


def test_undrawn_runs(runs_root: Path) -> None:
    metric = TASKS["segmentation"].metrics[0]
    drawn = write_tables(write_run(runs_root, name="drawn", tasks=["seg"]))
    write_events(drawn.path / "events.jsonl", [Event(0.0, 3, 30, "seg", "val", metric.name, 12.5)])
    other = write_tables(write_run(runs_root, name="other", tasks=["depth"]))
    early = write_tables(write_run(runs_root, name="early", tasks=["seg"]))
    uncounted = write_run(runs_root, name="uncounted", tasks=["seg"])
    write_events(uncounted.path / "events.jsonl", [Event(0.0, 3, 30, "seg", "val", metric.name, 12.5)])
    damaged = write_run(runs_root, name="damaged")
    (damaged.path / "spec.json").write_text("{")
    points = pareto.of_runs(summaries(), runs_root, ("seg", metric), "macs")
    assert points["run"].tolist() == [drawn.id]
    assert pareto.undrawn_runs(summaries(), points, ("seg", metric)) == {
        "description damaged": [damaged.id],
        "cost not known": [uncounted.spec.name],
        f"no value of {metric.label} so far, or not a finite one": [early.spec.name],
        "no task seg": [other.spec.name],
    }
    angle = ("seg", TASKS["normals"].metrics[0])
    assert "seg is of another kind, or in another unit" in pareto.undrawn_runs(summaries(), points.iloc[:0], angle)


def test_undrawn_members(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    points = pareto.of_study(study, DELTA, "macs")
    assert pareto.undrawn_members(study, points, DELTA.subset) == (len(points), {})
    known = study.table("members")
    failed = known["run"].eq(points["run"].iloc[0])
    known = known.assign(state=known["state"].where(~failed, "failed"), run=known["run"].where(~failed, ""))
    known.to_parquet(study.path / "tables" / "members.parquet")
    found = pareto.undrawn_members(study, points.iloc[2:], DELTA.subset)
    assert found == (len(points), {"failed": 1, "done": 1})


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12), st.booleans())
def test_the_front_is_what_no_other_beats(pairs: list[tuple[int, int]], higher: bool) -> None:
    cost, reached = (pd.Series(values, dtype=float) for values in zip(*pairs, strict=True))
    good = reached if higher else -reached
    kept = pareto.front(cost, reached, higher)
    every = list(zip(cost, good, strict=True))
    beaten = np.array([any(c <= x and g >= y and (c, g) != (x, y) for c, g in every) for x, y in every])
    assert not (kept & beaten).any()
    assert {point for point, gone in zip(every, beaten, strict=True) if not gone} == {
        point for point, shown in zip(every, kept, strict=True) if shown
    }
