"""Is relevance true on trained networks? Rooms, three seeds, dense and with 70 % of the groups zero.

For every run: rank correlation of relevance with mean-ablation and of task shares over surviving channels, deletion
against random order in every layer, and what is left of the shares once the heads are shuffled. The figures are medians
over layers and tasks. The table is printed, and written to the file that WINNOW_STUDY names, one run after the other.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch

from winnow.data.catalog import load
from winnow.data.stacking import Stacked, stack
from winnow.engine.explain.checks.badges import median
from winnow.engine.explain.faithfulness import Checks, faithfulness
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.usage import usage
from winnow.engine.networks.multitask import build_network
from winnow.engine.sparsity.counts import living
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.loop import begin, start_at_constants, train
from winnow.engine.training.state import Training

pytestmark = [pytest.mark.study, pytest.mark.timeout(7200)]

SEEDS = (0, 1, 2)
TARGETS = (0.0, 70.0)
DATA = {"dataset": "scenes", "train_length": 300, "val_length": 100}
FIGURES = ("rank_correlation", "rise_correlation", "share_correlation", "split_half", "share_split_half")
CONTROLS = ("head_randomisation", "head_randomisation_raw", "cascade_1", "cascade_2", "cascade_3", "cascade_4")


@dataclass(frozen=True)
class Case:
    """One run of the study; a target of 0 is the dense network."""

    target: float
    seed: int
    epochs: int = 15
    channels: int = 32


def read() -> dict[str, Stacked]:
    tasks = tuple(load("scenes", split="val").fields)[:3]
    lengths = {"train": DATA["train_length"], "val": DATA["val_length"]}
    return {split: stack(load("scenes", split=split, length=n), tasks) for split, n in lengths.items()}  # type: ignore[arg-type]


def trained(case: Case, stacked: dict[str, Stacked]) -> tuple[Training, Batches]:
    """Return the network of a run, trained, and its validation images."""
    penalty = {"target": case.target} if case.target else {"strength": 0.0}
    spec = parse({"data": DATA, "penalty": penalty, "seed": case.seed, "threads": 1, "epochs": case.epochs})
    tasks = build_tasks(load("scenes", split="val").fields, spec.tasks)
    batches, validation = (
        Batches(stacked[split], tasks, spec.batch_size, torch.device("cpu")) for split in ("train", "val")
    )
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, batches.channels), tasks, batches)
    start_at_constants(training, batches)
    for _ in train(training, batches, validation):
        pass
    return training, validation


def over_networks(measure: Callable[[Case, dict[str, Stacked]], pd.DataFrame]) -> pd.DataFrame:
    """Return what is measured on each network, one below the other; the file grows with each."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows, stacked = [], read()
    for case in (Case(target, seed) for target in TARGETS for seed in SEEDS):
        rows.append(measure(case, stacked))
        if "WINNOW_STUDY" in os.environ:
            pd.concat(rows).to_csv(Path(os.environ["WINNOW_STUDY"]), index=False)
    return pd.concat(rows, ignore_index=True)


def run(case: Case, stacked: dict[str, Stacked]) -> pd.DataFrame:
    training, validation = trained(case, stacked)
    found = relevance(training.net, validation, settings=Settings(images=64, seed=case.seed))
    checks = Checks(channels=case.channels)
    held = faithfulness(training.net, validation, found, settings=Settings(images=32, seed=case.seed), checks=checks)
    row: dict[str, object] = {
        "target": case.target,
        "seed": case.seed,
        "group_sparsity": training.counts.percent("group", living(training.proximal.norms)),
        **{name: median(held, name) for name in (*FIGURES, *CONTROLS)},
        **deletion(held),
        **usage(found)["label"].value_counts().to_dict(),
    }
    return pd.DataFrame([row])


def deletion(held: pd.DataFrame) -> dict[str, object]:
    """Return in how many layers deletion by relevance raises the losses more than in random order, of how many."""
    wide = held[held["layer"] != ""].pivot_table(index=["layer", "task"], columns="figure", values="value")
    curves = wide.dropna(subset=["deletion_auc", "deletion_random"])
    ratios = (curves["deletion_auc"] / curves["deletion_random"].clip(lower=1e-12)).groupby("layer").median()
    better = (curves["deletion_auc"] > curves["deletion_random"]).groupby("layer").mean() > 0.5
    return {"layers": len(better), "layers_beaten": int(better.sum()), "deletion_ratio": float(ratios.median())}


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    return over_networks(run)


def test_relevance_agrees_with_mean_ablation(study: pd.DataFrame, capsys: pytest.CaptureFixture[str]):
    with capsys.disabled():
        print("\n" + study.round(3).T.to_string())
    assert (study["rank_correlation"] >= 0.8).all()
    assert (study["share_correlation"] >= 0.7).all()


def test_deletion_beats_random_order_in_every_layer(study: pd.DataFrame):
    assert (study["layers_beaten"] == study["layers"]).all()


def test_shares_do_not_outlive_the_heads(study: pd.DataFrame):
    assert (study["head_randomisation"].abs() < 0.2).all()
