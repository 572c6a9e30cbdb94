"""Does a target hold, and which treatment of batch norm is better? Real runs on two data sets, three seeds each.

For every run: is what was asked for zero within one point, does a layer die, how even are the zeros over the layers,
and what do the tasks' metrics say. The table is printed, and written to the file that WINNOW_STUDY names.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from winnow.data.catalog import load
from winnow.data.stacking import Stacked, stack
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.quantities import metrics
from winnow.engine.sparsity.counts import living
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import EpochDone, begin, start_at_constants, train

pytestmark = [pytest.mark.study, pytest.mark.timeout(7200)]

SEEDS = (0, 1, 2)
TARGETS = (30.0, 50.0, 70.0, 90.0)
SIZES = {"digits": {}, "scenes": {"train_length": 300, "val_length": 100}}
LENGTHS = {"digits": {"epochs": 20, "batch_size": 64}, "scenes": {"epochs": 15, "batch_size": 16}}


@dataclass(frozen=True)
class Case:
    """One run of the study; a target of 0 is the dense network."""

    dataset: str
    target: float
    normalisation: str
    seed: int

    @property
    def penalty(self) -> dict[str, object]:
        asked = {"target": self.target} if self.target else {"strength": 0.0}
        return {**asked, "normalisation": self.normalisation}


def cases() -> Iterator[Case]:
    for dataset in SIZES:
        for seed in SEEDS:
            yield Case(dataset, 0.0, "plain", seed)
            for target in TARGETS:
                yield Case(dataset, target, "plain", seed)
                if target in (50.0, 70.0):
                    yield Case(dataset, target, "aware", seed)


def read(dataset: str) -> dict[str, Stacked]:
    lengths = {"train": SIZES[dataset].get("train_length"), "val": SIZES[dataset].get("val_length")}
    tasks = tuple(load(dataset, split="val").fields)[:3]
    return {
        split: stack(load(dataset, split=split, **({"length": n} if n else {})), tasks)  # type: ignore[arg-type]
        for split, n in lengths.items()
    }


def run(case: Case, stacked: dict[str, Stacked]) -> dict[str, object]:
    spec = parse(
        {
            "data": {"dataset": case.dataset, **SIZES[case.dataset]},
            "penalty": case.penalty,
            "seed": case.seed,
            "threads": 1,
            **LENGTHS[case.dataset],
        }
    )
    tasks = build_tasks(load(case.dataset, split="val").fields, spec.tasks)
    batches, validation = (
        Batches(stacked[split], tasks, spec.batch_size, torch.device("cpu")) for split in ("train", "val")
    )
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, batches.channels), tasks, batches)
    start_at_constants(training, batches)
    *_, last = (record for record in train(training, batches, validation) if isinstance(record, EpochDone))
    norms = training.proximal.norms[1:]  # the first layer reads the image, of one or three channels
    zeros = np.array([float((n == 0).float().mean()) for n in norms])
    mains = {name: metrics(task.field)[0].name for name, task in tasks.items()}
    return {
        **vars(case),
        **training.counts.all_percents(living(training.proximal.norms)),
        "dead_layers": sum(not bool((n > 0).any()) for n in training.proximal.norms),
        "zeros_std": 100 * float(zeros.std()),
        "zeros_min": 100 * float(zeros.min()),
        "zeros_max": 100 * float(zeros.max()),
        **{f"{name}_{main}": last.metrics[name][main] for name, main in mains.items()},
    }


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows, stacked = [], {dataset: read(dataset) for dataset in SIZES}
    for case in cases():
        rows.append(run(case, stacked[case.dataset]))
        if "WINNOW_STUDY" in os.environ:
            pd.DataFrame(rows).to_csv(Path(os.environ["WINNOW_STUDY"]), index=False)
    return pd.DataFrame(rows)


def test_a_target_is_met_within_a_point_and_no_layer_dies(study: pd.DataFrame, capsys: pytest.CaptureFixture[str]):
    sparse = study[study["target"] > 0]
    with capsys.disabled():
        shown = (
            study.drop(columns="seed").groupby(["dataset", "target", "normalisation"]).mean().dropna(axis=1, how="all")
        )
        print("\n" + shown.round(2).T.to_string())
    assert (sparse["group_sparsity"] - sparse["target"]).abs().max() <= 1.0
    assert int(study["dead_layers"].sum()) == 0
