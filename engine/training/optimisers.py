"""The smooth part of a step: torch's optimiser of a spec, and its rate as a pure function of the progress."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer

from winnow.engine.specs.train import OptimiserSpec


def build_optimizer(
    spec: OptimiserSpec, parameters: Iterable[nn.Parameter], undecayed: Iterable[nn.Parameter] = ()
) -> Optimizer:
    """Return the optimiser that the spec describes; `undecayed` are parameters of a second group, without decay."""
    rate, decay = spec.learning_rate, spec.weight_decay
    groups: list[dict[str, object]] = [{"params": list(parameters)}]
    if weighing := list(undecayed):
        groups.append({"params": weighing, "weight_decay": 0.0})
    if spec.optimiser == "sgd":
        return torch.optim.SGD(groups, rate, spec.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if spec.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, rate, weight_decay=decay)


def set_rate(optimizer: Optimizer, spec: OptimiserSpec, progress: float) -> None:
    """Give an optimiser the rate for a progress in [0, 1): the start's, or its cosine."""
    factor = 0.5 * (1 + math.cos(math.pi * progress)) if spec.schedule == "cosine" else 1.0
    for group in optimizer.param_groups:
        group["lr"] = spec.learning_rate * factor
