"""What is trained once by one process and once by two, and how: small, with everything that a slice could get wrong."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.catalog import DATASETS, load
from data.stacking import Stacked, stack
from engine.batches import Batches
from engine.distributed.ranks import Ranks
from engine.networks.multitask import build_network
from engine.spec import TrainSpec, parse
from engine.tasks.build import build_tasks
from engine.training import EpochDone, StepDone, begin, start_at_constants, train

STEPS = 24
SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}
LASSO = {"strength": 3e-3, "floor": 0.0}
DIGITS = {"data": {"dataset": "digits"}, "batch_size": 46, "epochs": 1, "network": SMALL, "penalty": LASSO}
SCENES = {
    "data": {"dataset": "scenes", "size": 24, "train_length": 72, "val_length": 11},
    "tasks": ("seg", "depth", "normals", "edges"),
    "network": SMALL,
    "penalty": LASSO,
    "batch_size": 9,  # slices of 5 and 4
    "epochs": 3,
}
CASES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "digits, upgrad": {**DIGITS, "balancing": {"balancing": "upgrad"}},
        "digits, pcgrad": {**DIGITS, "balancing": {"balancing": "pcgrad"}},
        "digits, imtl_g at parameters": {**DIGITS, "balancing": {"balancing": "imtl_g", "gradients": "parameters"}},
        "digits, uncertainty": {**DIGITS, "balancing": {"balancing": "uncertainty"}},
        "digits, famo, target": {**DIGITS, "balancing": {"balancing": "famo"}, "penalty": {"target": 40.0}},
        "scenes, equal, masked": {**SCENES, "balancing": {"record_every": 5}},
        "scenes, gradnorm, sgd, coupled": {
            **SCENES,
            "balancing": {"balancing": "gradnorm"},
            "optimiser": {"optimiser": "sgd", "learning_rate": 1e-2},
            "penalty": {**LASSO, "groups": "coupled"},
        },
        "scenes, dwa, removal": {**SCENES, "balancing": {"balancing": "dwa"}, "penalty": {**LASSO, "removal": 1}},
        "scenes, nash_mtl, micro-batches": {
            **SCENES,
            "balancing": {"balancing": "nash_mtl"},
            "batch_size": 8,
            "accumulate": 2,
        },
    }
)


def spec_of(case: str) -> TrainSpec:
    return parse({"threads": 1, **CASES[case]})


@cache
def images(dataset: str) -> dict[str, Stacked]:
    """Return both splits; of the rooms, labels are missing from some images, and one has none at all."""
    if dataset == "digits":
        return {split: stack(load("digits", split=split), ("digit", "parity", "ink")) for split in ("train", "val")}
    found = {}
    for split, length in (("train", 72), ("val", 11)):
        data = load("scenes", split=split, size=24, length=length)
        found[split] = stack(data, ("seg", "depth", "normals", "edges"))
        missing = np.random.default_rng(0).random((length, 24, 24)) < np.linspace(0, 1, length)[:, None, None] ** 3
        found[split].targets["seg"][missing] = -1
        found[split].targets["depth"][missing[:, ::-1]] = 0
        found[split].targets["edges"][missing] = -1
    return found


def trained(spec: TrainSpec, ranks: Ranks, steps: int = STEPS) -> dict[str, Tensor]:
    """Return what a training comes to: losses and balance of every step, metrics, weights, norms of the groups."""
    stacked = images(spec.data.dataset)
    tasks = build_tasks(DATASETS[spec.data.dataset].fields, spec.tasks)
    batches, validation = (
        Batches(stacked[split], tasks, spec.batch_size, torch.device("cpu")) for split in ("train", "val")
    )
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, batches.channels), tasks, batches, ranks)
    start_at_constants(training, batches)
    records = list(train(training, batches, validation))
    steps_done = [record for record in records if isinstance(record, StepDone)]
    epochs = [record for record in records if isinstance(record, EpochDone)]
    assert len(steps_done) >= steps
    gramians = [record.balance.gramian for record in steps_done if record.balance.gramian is not None]
    return {
        "losses": torch.tensor([list(record.losses.values()) for record in steps_done]),
        "weights": torch.stack([record.balance.weights.double() for record in steps_done]),
        "gramians": torch.stack(gramians),
        "metrics": torch.tensor([list(own.values()) for own in epochs[-1].metrics.values() for _ in "1"][0]),
        "norms": torch.cat(training.proximal.norms),
        **{f"net.{name}": value.clone() for name, value in training.net.state_dict().items()},
        **{f"balancer.{name}": value.clone() for name, value in training.balancer.state_dict().items()},
    }
