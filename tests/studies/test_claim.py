"""The claim of the field, as one command: a multi-task network of which 70 % is gone is as good as the dense one.

Over-parameterised, as in the paper, where ResNet-50 meets 795 images: 660,000 weights meet 60 rooms of 64 pixels, and
a dense network is at its best half-way. Three tasks, their losses weighed to about one size, five seeds, one
optimiser for all: dense and 70 % of the groups, each task alone and all together, and the controls at equal
parameters. The support is reached gradually from the trained dense network, and the second half of a sparse run
refits it; the dense network trained on for as long is among the controls. The validation split picks each run's
epoch, the test split is looked at once, at the end. The setting was chosen on seed 0 of other rooms.

What is asserted is that the experiment is fair: the target is met, controls have the parameters of the sparse network,
every run came to its end. What comes out is printed, whatever it is, and written as CSV, Markdown and LaTeX to the
folder that WINNOW_STUDY names (./claim by default). Runs lie in WINNOW_RUNS; what is done there is not trained again.

WINNOW_CLAIM may hold JSON that changes the study, {"seeds": [0], "base": {"epochs": 5}}.
"""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from winnow.engine.cli.follow import show_progress
from winnow.engine.cli.studies import write_tables
from winnow.engine.jobs.study_members import living_parameters
from winnow.engine.runs import launch
from winnow.engine.runs.study import Study, create_study, list_studies
from winnow.engine.specs.study import StudySpec, parse_many
from winnow.engine.studies.reporting_tables import paper_table

pytestmark = [pytest.mark.claim, pytest.mark.timeout(6 * 3600)]

EQUAL = ("sparse", "scratch", "magnitude", "unanimous", "small")
ARMS = ("scratch", "magnitude", "unanimous", "small", "continued")
SPEC: dict[str, Any] = {
    "kind": "study",
    "name": "claim",
    "subsets": ["each", "all"],
    "targets": [70.0],
    "seeds": [1, 2, 3, 4, 5],
    "controls": list(ARMS),
    "warm": True,
}
BASE: dict[str, Any] = {
    "data": {"dataset": "scenes", "train_length": 60, "val_length": 60, "test_length": 300, "data_seed": 1},
    "tasks": ["seg", "depth", "normals"],
    "network": {"widths": [32, 64, 96, 128], "blocks": [1, 1, 1, 1]},
    "penalty": {"target_of": "group", "refit": 0.5},
    "balancing": {"balancing": "static", "task_weights": {"seg": 1, "depth": 2, "normals": 6}},
    "epochs": 140,
    "batch_size": 8,
    "threads": 1,
}


def spec() -> StudySpec:
    changes = json.loads(os.environ.get("WINNOW_CLAIM", "{}"))
    base = {**BASE, **changes.pop("base", {})}
    found = parse_many({**SPEC, **changes, "base": base})
    assert isinstance(found, StudySpec)
    return found


@pytest.fixture(scope="module")
def study() -> Study:
    wanted = spec()
    going = ("stopped", "lost", "running", "queued")
    earlier = [found for found in list_studies() if found.spec == wanted and found.status.state in going]
    found = earlier[0] if earlier else create_study(wanted)
    if found.status.state not in ("running", "queued") or not found.alive():
        launch.start(found)
    show_progress(found, "claim")
    return found


def test_the_claim_at_seventy_per_cent(study: Study, capsys: pytest.CaptureFixture[str]):
    members = study.members()
    assert (members["state"] == "done").all(), study.status.message
    folder = Path(os.environ.get("WINNOW_STUDY", "claim"))
    write_tables(study, folder)
    with capsys.disabled():
        print("\n" + paper_table(study.table("summary"), "main").to_string(index=False) + "\n\n" + verdict(study))
        print(f"\ntables in {folder.resolve()}")


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


def verdict(study: Study) -> str:
    """Say in words how the sparse multi-task network stands against the dense one and against each control."""
    everything = "+".join(study.spec.base.tasks)
    cell = f"split == 'test' and subset == '{everything}'"
    summary = study.table("summary").query(f"{cell} and arm == 'sparse' and quantity == 'delta.dense.main'").iloc[0]
    lines = [
        f"Δ_m of the sparse over the dense network: {summary['mean']:+.2f} % "
        f"({summary['low']:+.2f} to {summary['high']:+.2f}, n = {summary['n']:.0f}); "
        f"the claim, ≥ 0 with a lower end above -1: {bool(summary['mean'] >= 0 and summary['low'] > -1)}"
    ]
    compared = study.table("comparisons").query(f"{cell} and against == 'dense' and definition == 'main'")
    lines += [_against(compared, arm) for arm in study.spec.controls] if isinstance(study.spec, StudySpec) else []
    return "\n".join(lines)


def _against(compared: pd.DataFrame, arm: str) -> str:
    row = compared[(compared["arm"] == "sparse") & (compared["other"] == arm)].iloc[0]
    low, high = row["difference_low"], row["difference_high"]
    return f"over the control {arm}: {row['difference']:+.2f} points ({low:+.2f} to {high:+.2f})"
