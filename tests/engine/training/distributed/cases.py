"""What is trained once by one process and once by two, and how: small, with everything that a slice could get wrong."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from winnow.data.catalog import load
from winnow.data.stacking import Stacked, stack
from winnow.engine.networks.multitask import build_network
from winnow.engine.sparsity.learned import Learned
from winnow.engine.sparsity.strength import Controller
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches
from winnow.engine.training.distributed.ranks import Ranks
from winnow.engine.training.loop import StepDone, begin, start_at_constants, train, validate

SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}
LASSO = {"strength": 0.05, "floor": 0.0}
DIGITS = {
    "data": {"dataset": "digits"},
    "batch_size": 46,
    "epochs": 1,
    "network": SMALL,
    "penalty": LASSO,
}
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
        "digits, nash_mtl": {**DIGITS, "balancing": {"balancing": "nash_mtl"}},
        "digits, nash_mtl at parameters": {**DIGITS, "balancing": {"balancing": "nash_mtl", "gradients": "parameters"}},
        "digits, famo, target": {**DIGITS, "balancing": {"balancing": "famo"}, "penalty": {"target": 40.0}},
        "scenes, uncertainty, masked": {**SCENES, "balancing": {"balancing": "uncertainty", "record_every": 5}},
        "scenes, dwa, removal": {**SCENES, "balancing": {"balancing": "dwa"}, "penalty": {**LASSO, "removal": 1}},
        "scenes, gradnorm, sgd, coupled": {
            **SCENES,
            "balancing": {"balancing": "gradnorm"},
            "optimiser": {"optimiser": "sgd", "learning_rate": 1e-3},
            "penalty": {**LASSO, "groups": "coupled"},
        },
        "scenes, learned strength": {
            **SCENES,
            "epochs": 4,  # of 6 steps, as a quarter of the images is held out
            "balancing": {"balancing": "uncertainty", "record_every": 5},
            "penalty": {
                "learned": "layer",
                "strength": 1e-3,
                "learn_every": 2,
                "held_out": 0.25,
                "learn_tolerance": 100,
            },
        },
        "scenes, nash_mtl, micro-batches": {
            **SCENES,
            "balancing": {"balancing": "nash_mtl"},
            "batch_size": 8,
            "accumulate": 2,
        },
    }
)


STOPPED = {
    **SCENES,
    "data": {"dataset": "scenes", "size": 16, "train_length": 18, "val_length": 3},
    "tasks": ("seg", "depth"),
    "network": {**SMALL, "head": "aspp"},  # has dropout
    "epochs": 2,
    "balancing": {"balancing": "gradnorm"},
}


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


def trained(spec: TrainSpec, ranks: Ranks) -> dict[str, Tensor]:
    """Return what a training comes to: metrics before it, losses and balance of every step, weights, state, norms."""
    stacked = images(spec.data.dataset)
    tasks = build_tasks(spec.data.fields, spec.tasks)
    batches, validation = (
        Batches(stacked[split], tasks, spec.batch_size, torch.device("cpu")) for split in ("train", "val")
    )
    held = None
    if spec.penalty.learned != "no":
        batches, held = batches.parted(spec.penalty.held_out, spec.seed)
    torch.manual_seed(spec.seed)
    training = begin(spec, build_network(spec.network, tasks, batches.channels), tasks, batches, ranks, held)
    start_at_constants(training, batches)
    metrics = validate(training, validation)
    steps = [record for record in train(training, batches, validation) if isinstance(record, StepDone)]
    gramians = [record.balance.gramian for record in steps if record.balance.gramian is not None]
    return {
        "metrics": torch.tensor([value for own in metrics.values() for value in own.values()], dtype=torch.float64),
        "losses": torch.tensor([list(record.losses.values()) for record in steps], dtype=torch.float64),
        "weights": torch.stack([record.balance.weights.double() for record in steps]),
        "gramians": torch.stack(gramians),
        "norms": torch.cat(training.proximal.norms),
        "learned": _learned(training.controller),
        **{f"net.{name}": value.clone() for name, value in training.net.state_dict().items()},
        **{f"balancer.{name}": value.clone() for name, value in training.balancer.state_dict().items()},
    }


def _learned(control: Controller) -> Tensor:
    """Return all that a strength that is learned has come to, and was moved by."""
    if not isinstance(control, Learned):
        return torch.zeros(1, dtype=torch.float64)
    known = [control.base, control.error, *control.factors, *control.costs, *control.losses]
    return torch.tensor(known, dtype=torch.float64)


def NORMS() -> dict[str, tuple[nn.Module, Tensor]]:  # noqa: N802
    """Return batch norms, and what they normalise: a channel far from 0, one that hardly varies."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(5, 3, 4, 4, generator=generator) * torch.tensor([1.0, 1e-3, 5.0])[:, None, None]
    maps = (maps + torch.tensor([10.0, 0.0, -3.0])[:, None, None]).contiguous(memory_format=torch.channels_last)
    return {
        "maps": (nn.BatchNorm2d(3), maps),
        "rows": (nn.BatchNorm1d(3, affine=False), maps[:, :, 0, 0].contiguous()),
        "averaging": (nn.BatchNorm2d(3, momentum=None), maps),
        "forgetful": (nn.BatchNorm2d(3, track_running_stats=False), maps),
        "bfloat16": (nn.BatchNorm2d(3), maps.bfloat16()),
    }


def normalised(norm: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return output, gradients and running statistics after two passes."""
    if norm.weight is not None:
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
    x = x.clone().requires_grad_()
    for _ in range(2):
        y = norm(x)
        y.float().pow(3).sum().backward()
    gradients = {f"gradient.{name}": p.grad for name, p in norm.named_parameters() if p.grad is not None}
    return {"y": y, "gradient.x": x.grad, **gradients, **dict(norm.named_buffers())}


def scored() -> tuple[Tensor, Tensor]:
    """Return scores of 3 labels for 7 images, and which of them are there; some are not known."""
    generator = torch.Generator().manual_seed(4)
    return torch.randn(7, 3, generator=generator), torch.randint(-1, 2, (7, 3), generator=generator)
