from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.dashboard.making_studies import BASE, write_path, write_study
from winnow.dashboard.frames import cost, studies
from winnow.dashboard.frames.differences import Which, paired
from winnow.engine.runs.study import Study, create_study
from winnow.engine.specs.train import parse
from winnow.engine.studies.rows import WHO


@pytest.fixture
def study(the_study: Study) -> Study:
    return the_study


def test_tables_that_are_not_there_yet_are_empty_with_their_columns(study: Study, tmp_path: Path) -> None:
    waiting = create_study(study.spec, tmp_path)
    assert not studies.begun(waiting)
    for name in studies.COLUMNS:
        assert set(studies.COLUMNS[name]) <= set(studies.study_table(waiting, name).columns), name
    assert studies.members(waiting).empty
    assert paired(waiting, Which("test", "dense", "main")).empty


def test_the_columns_said_are_those_that_the_engine_writes(study: Study) -> None:
    for name in ("members", "results", "summary", "comparisons", "delta", "jaccard"):
        assert set(studies.COLUMNS[name]) <= set(study.table(name).columns), name


def test_a_table_is_read_again_when_it_is_replaced(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"])
    before = studies.study_table(study, "delta")
    before.head(1).to_parquet(study.path / "tables" / "delta.parquet")
    assert len(studies.study_table(study, "delta")) == 1 < len(before)


def test_members_are_said_in_words(study: Study) -> None:
    found = studies.members(study)
    assert found["state"].unique().tolist() == ["✓ done"]
    assert set(found["sparsity"]) == {"dense", "50 %"}
    assert found["reused"].tolist()[:2] == [True, False]


def test_each_definition_of_delta_has_its_interval(study: Study) -> None:
    found = studies.definitions(study, "test", "dense")
    dense = found[found["arm"] == "dense"].iloc[0]
    assert dense["main"] == "+0.00 (+0.00 to +0.00)"
    assert set(found["arm"]) == {"dense", "sparse, 50 %", "magnitude, 50 %"}
    assert found["seeds"].unique().tolist() == [3]


def test_one_seed_has_no_interval(runs_root: Path) -> None:
    found = studies.definitions(write_study(runs_root, subsets=["all"]), "test", "dense")
    assert found.loc[found["arm"] == "dense", "main"].tolist() == ["+0.00"] * 3


def test_differences_are_those_of_the_engine_paired_by_seed(study: Study) -> None:
    found = paired(study, Which("test", "dense", "main"))
    assert found["kind"].value_counts().to_dict() == {"dense": 4, "arm": 1}
    row = found[found["kind"] == "arm"].iloc[0]
    assert row["title"] == "seg+depth, 50 %: sparse − magnitude"
    delta = study.table("delta")
    own = delta[(delta["split"] == "test") & (delta["against"] == "dense") & (delta["definition"] == "main")]
    own = own[own["subset"] == "seg+depth"].pivot_table("delta", "seed", "arm")
    assert row["difference"] == pytest.approx((own["sparse"] - own["magnitude"]).mean())
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["pairs"] == 3


def test_latencies_are_medians_over_runs(runs_root: Path) -> None:
    study = write_study(runs_root, subsets=["all"], targets=[50, 60])
    assert studies.latencies(study).empty
    runs = study.table("results").drop_duplicates("run").head(3)[WHO]
    arm = {"arm": "dense", "subset": "seg", "level_of": "", "level": 0.0}
    timed = {"pruning": "p", "quantity": "latency", "batch": 1, "backend": "eager"}
    times = [
        {**row, **arm, **timed, "model": model, "value": value, "steady": place > 0}
        for place, row in enumerate(runs.to_dict("records"))
        for model, value in (("dense", 0.01), ("pruned", 0.001 * (place + 1)))
    ]
    times.append({**times[0], "quantity": "parameters", "batch": None, "backend": ""})  # the batch of no time is empty
    pd.DataFrame(times).to_parquet(study.path / "tables" / "latency.parquet")
    (row,) = studies.latencies(study).to_dict("records")
    assert (row["arm"], row["before"], row["after"], row["runs"]) == ("dense", 10.0, 2.0, 3)
    assert not row["quiet"]
    assert row["batch"] == 1


def test_a_damaged_spec_is_none(runs_root: Path, study: Study) -> None:
    study = create_study(study.spec, runs_root)
    (study.path / "spec.json").write_text('{"kind": "study", "targets": [200]}')
    assert studies.spec(Study(study.path)) is None


def test_an_epoch_costs_the_median_of_its_like(runs_root: Path) -> None:
    study = write_path(runs_root, targets=[50])
    assert cost.per_epoch(study.spec.base) == pytest.approx(10.0)
    other = parse({**BASE, "network": {"widths": [8], "blocks": [1]}})
    assert cost.per_epoch(other) is None


def test_levels_are_said(study: Study) -> None:
    frame = pd.DataFrame({"level_of": ["", "target", "strength"], "level": np.array([0, 50, 0.1])})
    assert studies.study_levels(frame) == ["dense", "50 %", "0.1 λ_max"]
