"""Studies of real runs, in this process: what is trained, what is referred to, what it comes to."""

from pathlib import Path

import pandas as pd
import pytest

from winnow.engine.jobs.study_job import StudyError
from winnow.engine.jobs.study_members import living_parameters
from winnow.engine.runs.derived import newest_job
from winnow.engine.runs.digests import newest_source
from winnow.engine.runs.run import list_runs
from winnow.engine.runs.snapshots import list_snapshots
from winnow.engine.runs.study import create_study, find_study, list_studies
from winnow.engine.specs.study import parse_many


@pytest.fixture(scope="module")
def controlled(tmp_path_factory, small, trained_here):
    """A study with all controls."""
    controls = ["scratch", "magnitude", "unanimous", "small", "continued", "sparse-distilled"]
    values = small(targets=[50], subsets=["all"], controls=controls, seeds=[0])
    return trained_here(values, tmp_path_factory.mktemp("controlled"))[0]


def test_runs_and_studies_stand_side_by_side(undisturbed):
    assert [study.id for study in list_studies(undisturbed.root)] == [undisturbed.id]
    assert find_study("small", undisturbed.root).id == undisturbed.id
    assert {run.id for run in list_runs(undisturbed.root)} == set(undisturbed.members()["run"])
    assert (undisturbed.members()["state"] == "done").all()


def test_what_was_trained_is_referred_to_and_not_trained_again(undisturbed, small, trained_here):
    more = small(targets=[50], subsets=["all", "each"])
    study, pool = trained_here({**more, "name": "more"}, undisturbed.root)
    members = study.members().set_index("key")
    assert len(pool.trained) == 2  # the sparse runs of the single tasks
    assert members["reused"].sum() == 4
    earlier = undisturbed.members().set_index("key")["run"]
    assert members.loc[earlier.index, "run"].to_dict() == earlier.to_dict()


def test_delta_names_its_baselines(undisturbed):
    deltas = undisturbed.table("delta").query("arm == 'sparse' and split == 'test' and definition == 'main'")
    runs = undisturbed.members().set_index("key")["run"]
    by = deltas.set_index("against")["baselines"]
    assert by["single"] == f"{runs['dense/digit/equal/0']},{runs['dense/ink/equal/0']}"
    assert by["dense"] == runs["dense/digit+ink/equal/0"]
    assert undisturbed.table("delta").query("arm == 'dense' and against == 'dense'")["delta"].eq(0).all()


def test_every_control_has_the_parameters_of_the_sparse_run(controlled):
    members = controlled.members().set_index("key")
    assert (members["state"] == "done").all(), members["message"].tolist()
    living = {
        arm: living_parameters(controlled.run(f"{arm}-target-50/digit+ink/equal/0"))
        for arm in ("sparse", "scratch", "magnitude", "unanimous", "small")
    }
    dense = living_parameters(controlled.run("dense/digit+ink/equal/0"))
    assert living["sparse"] < 0.75 * dense
    assert living["scratch"] == pytest.approx(living["sparse"], rel=0.01)
    for arm in ("magnitude", "unanimous"):
        assert living[arm] == pytest.approx(living["sparse"], rel=0.12)
    assert 0.85 * living["sparse"] <= living["small"] <= living["sparse"]


def test_controls_say_what_they_began_with(controlled):
    sparse = controlled.run("sparse-target-50/digit+ink/equal/0")
    scratch = controlled.run("scratch-target-50/digit+ink/equal/0").spec.start
    assert scratch.supports == (newest_source(sparse.path),)
    assert scratch.weights is None
    unanimous = controlled.run("unanimous-target-50/digit+ink/equal/0").spec.start
    assert {source.run for source in unanimous.supports} == {
        controlled.run(f"sparse-target-50/{task}/equal/0").id for task in ("digit", "ink")
    }
    continued = controlled.run("continued/digit+ink/equal/0").spec.start
    assert continued.weights == newest_source(controlled.run("dense/digit+ink/equal/0").path)
    taught = controlled.run("sparse-distilled-target-50/digit+ink/equal/0").spec
    assert (taught.start.teacher, taught.start.distillation) == (continued.weights, 0.5)
    assert taught.penalty.target == 50
    compared = controlled.table("comparisons").query("arm == 'sparse' and against == 'dense' and definition == 'main'")
    assert set(compared["other"]) == {"scratch", "magnitude", "unanimous", "small", "continued", "sparse-distilled"}


def test_a_failure_is_reported_and_what_needs_it_is_skipped(tmp_path: Path, small, trained_here):
    hopeless = {"optimiser": {"optimiser": "sgd", "learning_rate": 1e30}}
    values = small(hopeless, targets=[50], subsets=["all"], controls=["scratch"])
    study = create_study(parse_many(values), tmp_path)
    with pytest.raises(StudyError, match="5 of 5 runs failed.*loss became"):
        trained_here(values, tmp_path)
    failed = next(found for found in list_studies(tmp_path) if found.id != study.id)
    assert failed.members().set_index("key")["state"].value_counts().to_dict() == {"failed": 4, "skipped": 1}


def test_a_warm_path_goes_from_neighbour_to_neighbour(tmp_path: Path, small, trained_here):
    values = {**small(targets=[60, 30], seeds=[0, 1]), "kind": "path", "warm": True}
    study, _ = trained_here(values, tmp_path)
    table = study.table("path")
    assert table["level"].tolist() == [0, 30, 60]
    assert (table["group_sparsity"] - table["level"]).abs().max() < 6
    assert table["seeds"].eq(2).all()
    assert table["elbow"].sum() <= 1
    assert table["one_standard_error"].sum() == 1
    starts = [study.run(f"sparse-target-{level}/digit+ink/equal/0").spec.start for level in (30, 60)]
    assert starts[0].weights == newest_source(study.run("dense/digit+ink/equal/0").path)
    assert starts[1].weights == newest_source(study.run("sparse-target-30/digit+ink/equal/0").path)
    kept = {key: len(list_snapshots(study.run(key).path)) for key in study.members()["key"]}
    assert all(count >= 1 for key, count in kept.items() if key.startswith("sparse-target-30"))
    assert not any(count for key, count in kept.items() if key.startswith("dense"))
    deaths = study.table("deaths")
    last = study.run("sparse-target-60/digit+ink/equal/0").table("groups")
    assert (deaths["point"].notna() == (last["norm"] == 0)).all()
    overlaps = study.table("jaccard")
    assert set(overlaps["level"]) == {30, 60}
    assert pd.api.types.is_numeric_dtype(overlaps["jaccard"])


def test_what_is_left_is_timed_if_asked_for(tmp_path: Path, small, trained_here, works_here):
    study, _ = trained_here(small({"tasks": ["digit"]}, latency=True, subsets=["all"]), tmp_path)
    measures = study.table("latency")
    assert set(measures["model"]) == {"dense", "masked", "pruned"}
    (run,) = list_runs(tmp_path)
    assert set(measures["pruning"]) == {newest_job(run, "prune").id}


@pytest.fixture(scope="module")
def unseen(tmp_path_factory, small, trained_here):
    """A study of a support that was found on another task."""
    values = small(targets=[50], subsets=["ink"], unseen=["ink"], seeds=[0])
    return trained_here(values, tmp_path_factory.mktemp("unseen"))[0]


def test_a_support_is_held_for_a_task_that_it_was_not_found_on(unseen):
    assert (unseen.members()["state"] == "done").all(), unseen.members()["message"].tolist()
    source = alive_groups(unseen.run("sparse-target-50/digit/equal/0"))
    own = alive_groups(unseen.run("sparse-target-50/ink/equal/0"))
    given = {
        arm: alive_groups(unseen.run(f"{arm}-target-50/ink/equal/0")) for arm in ("transferred", "found", "random")
    }
    assert given["transferred"].equals(source)
    assert given["found"].equals(own)
    assert not given["random"].equals(source)
    layers = unseen.run("sparse-target-50/digit/equal/0").table("groups")["layer"]
    assert given["random"].groupby(layers).sum().equals(source.groupby(layers).sum())


def test_a_task_begins_with_the_weights_that_its_support_was_found_from(unseen):
    keys = ("sparse-target-50/digit/equal/0", "dense/ink/equal/0")
    one, other = (unseen.run(key).groups(0)["norm"] for key in keys)
    assert (one == other).all()


def test_unseen_tasks_have_a_table_of_paired_differences(unseen):
    table = unseen.table("unseen").query("split == 'test' and definition == 'main'")
    assert table["other"].tolist() == ["dense", "random", "found"]
    assert set(table["task"]) == {"ink"}
    assert set(table["support"]) == {"digit"}
    deltas = unseen.table("delta").query("split == 'test' and definition == 'main' and against == 'dense'")
    by = deltas.set_index("arm")["delta"]
    expected = [by["transferred"], by["transferred"] - by["random"], by["transferred"] - by["found"]]
    assert table["difference"].tolist() == pytest.approx(expected)


def alive_groups(run) -> pd.Series:
    return run.table("groups")["norm"] > 0
