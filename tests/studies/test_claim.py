"""The claim of the field, as one command: a multi-task network of which 70 % is gone is as good as the dense one.

Twice: on drawn rooms, and on photographs of clothes. Over-parameterised, as in the paper, where ResNet-50 meets 795
images: 660,000 weights meet 60 rooms of 64 pixels, or 170,000 meet 300 pairs of clothes, and a dense network is at its
best half-way. Three tasks, five seeds, one optimiser for all: dense and 70 % of the groups, each task alone and all
together, and the controls at equal parameters. The support is reached gradually from the trained dense network, and the
second half of a sparse run refits it; the dense network trained on for as long is among the controls, with itself as
teacher too. Torch-Pruning prunes the same dense networks, where it can be installed, and is trained on for as long. The
validation split picks each run's epoch, the test split is looked at once, at the end. Settings were chosen on seed 0 of
other images.

What is asserted is that the experiment is fair: the target is met, controls have the parameters of the sparse network,
every run came to its end. What comes out is printed, whatever it is, and written as CSV, Markdown and LaTeX to the
folder that WINNOW_STUDY names (./claim by default). Runs lie in WINNOW_RUNS; what is done there is not trained again.

WINNOW_CLAIM may hold JSON that changes both studies, {"seeds": [0], "base": {"epochs": 5}}; pytest's -k rooms or
-k fashion takes one.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from scipy.stats import t as student_t

from tests.studies.external import SCORES, external_rows
from tests.zoo.beside import torch_pruning
from winnow.engine.cli.follow import show_progress
from winnow.engine.cli.studies import write_tables
from winnow.engine.jobs.study_members import living_parameters
from winnow.engine.runs import launch
from winnow.engine.runs.study import Study, create_study, list_studies
from winnow.engine.specs.study import StudySpec, parse_many
from winnow.engine.studies.delta import delta_table
from winnow.engine.studies.reporting_tables import csv_text, paper_table
from winnow.engine.studies.rows import WHO
from winnow.engine.studies.tables import comparisons_table, long_quantities, summary_table

pytestmark = [pytest.mark.claim, pytest.mark.timeout(6 * 3600)]

LEAST_PAIRS = 3  # seeds from which on a spread says something
EQUAL = ("sparse", "scratch", "magnitude", "unanimous", "small", "magnitude-distilled")
ARMS = (
    "scratch", "magnitude", "unanimous", "small", "continued", "distilled", "sparse-distilled", "magnitude-distilled"
)  # fmt: skip
SPEC: dict[str, Any] = {
    "kind": "study",
    "subsets": ["each", "all"],
    "targets": [70.0],
    "seeds": [1, 2, 3, 4, 5],
    "controls": list(ARMS),
    "warm": True,
}
SHARED: dict[str, Any] = {"penalty": {"target_of": "group", "refit": 0.5}, "threads": 1}
BASES: dict[str, dict[str, Any]] = {
    "rooms": {
        "data": {"dataset": "scenes", "train_length": 60, "val_length": 60, "test_length": 300, "data_seed": 1},
        "tasks": ["seg", "depth", "normals"],
        "network": {"widths": [32, 64, 96, 128], "blocks": [1, 1, 1, 1]},
        "balancing": {"balancing": "static", "task_weights": {"seg": 1, "depth": 2, "normals": 6}},
        "epochs": 140,
        "batch_size": 8,
    },
    "fashion": {
        "data": {"dataset": "fashion", "train_length": 300, "val_length": 300, "test_length": 2000, "data_seed": 1},
        "tasks": ["upper", "lower", "seg"],
        "network": {"widths": [16, 32, 64, 96], "blocks": [1, 1, 1, 1], "head_width": 32},
        "balancing": {"balancing": "equal"},
        "optimiser": {"learning_rate": 0.002},
        "epochs": 80,
        "batch_size": 16,
    },
}


def spec(name: str) -> StudySpec:
    changes = json.loads(os.environ.get("WINNOW_CLAIM", "{}"))
    base = {**SHARED, **BASES[name], **changes.pop("base", {})}
    found = parse_many({**SPEC, "name": f"claim {name}", **changes, "base": base})
    assert isinstance(found, StudySpec)
    return found


@pytest.fixture(scope="module", params=sorted(BASES))
def study(request: pytest.FixtureRequest) -> Study:
    wanted = spec(request.param)
    going = ("stopped", "lost", "running", "queued")
    earlier = [found for found in list_studies() if found.spec == wanted and found.status.state in going]
    found = earlier[0] if earlier else create_study(wanted)
    if found.status.state not in ("running", "queued") or not found.alive():
        launch.start(found)
    show_progress(found, wanted.name)
    return found


def test_the_claim_at_seventy_per_cent(study: Study, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    members = study.members()
    assert (members["state"] == "done").all(), study.status.message
    folder = Path(os.environ.get("WINNOW_STUDY", "claim")) / study.spec.name.split()[-1]
    write_tables(study, folder)
    tp = torch_pruning(tmp_path / "torch-pruning")
    tables = with_external(tp, study, folder) if tp is not None else {}
    summary = tables.get("summary", study.table("summary"))
    for name, table in tables.items():
        (folder / f"{name} with Torch-Pruning.csv").write_text(csv_text(table))
    with capsys.disabled():
        shown = paper_table(summary, study.spec.base.fields, "main")
        print("\n" + shown.to_string(index=False) + "\n\n" + verdict(study, tables))
        print(f"\ntables in {folder.resolve()}" + ("" if tables else "; Torch-Pruning cannot be installed here"))


def with_external(tp: ModuleType, study: Study, folder: Path) -> dict[str, pd.DataFrame]:
    """Return the tables that compare arms, with those of Torch-Pruning among them."""
    results = study.table("results")
    everything = "+".join(study.spec.base.tasks)
    rows: list[dict[str, object]] = []
    for seed in study.spec.seeds:
        own = members_of(study, everything, seed)
        who = results[results["run"] == study.run(own["sparse"]).id].iloc[0][WHO].to_dict()
        runs = (study.run(own["dense"]), study.run(own["sparse"]))
        for score in SCORES:
            rows += external_rows(tp, runs, who, score, folder)
    every = pd.concat([results, pd.DataFrame(rows)], ignore_index=True)
    deltas = delta_table(every, "main")
    return {"summary": summary_table(long_quantities(every, deltas)), "comparisons": comparisons_table(deltas)}


def test_the_experiment_was_fair(study: Study):
    results = study.table("results").drop_duplicates("run")
    target = study.spec.targets[0]
    sparse = results[results["arm"] == "sparse"]
    assert (sparse["group_sparsity"] - target).abs().max() <= 1.0
    everything = "+".join(study.spec.base.tasks)
    for seed in study.spec.seeds:
        own = members_of(study, everything, seed)
        left = {arm: living_parameters(study.run(key)) for arm, key in own.items() if arm in EQUAL}
        for arm, parameters in left.items():
            assert parameters == pytest.approx(left["sparse"], rel=0.05), arm


def members_of(study: Study, subset: str, seed: int) -> dict[str, str]:
    """Return the members of one seed, {arm: key}."""
    own = study.members().query("subset == @subset and seed == @seed")
    return dict(zip(own["arm"], own["key"], strict=True))


def verdict(study: Study, tables: Mapping[str, pd.DataFrame]) -> str:
    """Say in words how the sparse multi-task network stands against the dense one and against each control."""
    everything = "+".join(study.spec.base.tasks)
    cell = f"split == 'test' and subset == '{everything}'"
    summary = tables.get("summary", study.table("summary")).query(f"{cell} and quantity == 'delta.dense.main'")
    ours = summary.query("arm == 'sparse'").iloc[0]
    lines = [
        f"Δ_m of the sparse over the dense network: {ours['mean']:+.2f} % "
        f"({ours['low']:+.2f} to {ours['high']:+.2f}, n = {ours['n']:.0f}); "
        f"the claim, ≥ 0 with a lower end above -1: {bool(ours['mean'] >= 0 and ours['low'] > -1)}"
    ]
    compared = tables.get("comparisons", study.table("comparisons"))
    found = compared.query(f"{cell} and against == 'dense' and definition == 'main' and arm == 'sparse'")
    lines += [_against(row) for _, row in found.sort_values("difference").iterrows()]
    return "\n".join([*lines, _power(found)])


def _against(row: pd.Series) -> str:
    low, high = row["difference_low"], row["difference_high"]
    return f"over the control {row['other']}: {row['difference']:+.2f} points ({low:+.2f} to {high:+.2f})"


def _power(found: pd.DataFrame) -> str:
    """Say how many seeds the observed spread needs for an interval that excludes 0, against `continued`."""
    row = found[found["other"] == "continued"].iloc[0]
    pairs, half = int(row["pairs"]), (row["difference_high"] - row["difference_low"]) / 2
    if pairs < LEAST_PAIRS or not row["difference"] > 0:
        return f"power: nothing can be said with {pairs} seeds and {row['difference']:+.2f} points over continued"
    spread = half * pairs**0.5 / float(student_t.ppf(0.975, pairs - 1))
    needed = next(n for n in range(2, 10_000) if student_t.ppf(0.975, n - 1) * spread / n**0.5 < row["difference"])
    return f"power: with this spread {needed} seeds are needed for an interval above 0 over continued, {pairs} were run"
