"""The smooth part of a step: torch's optimiser of a spec, and its rates as a pure function of the progress."""

import math
from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch
from torch import nn
from torch.optim import Optimizer

from winnow.engine.specs.train import OptimiserSpec

Named = Iterable[tuple[str, nn.Parameter]]
FACTOR = "rate"  # in a param_group: its rate, as a factor of the spec's


def build_optimizer(spec: OptimiserSpec, parameters: Named, undecayed: Iterable[nn.Parameter] = ()) -> Optimizer:
    """Return the optimiser that the spec describes; `undecayed` are parameters of a last group, without decay.

    Parameters whose names fit a pattern of `spec.rate` have a group of their own.

    Raises:
        ValueError: a pattern that fits no name.

    """
    rate, decay = spec.learning_rate, spec.weight_decay
    groups: list[dict[str, object]] = [
        {"params": own, "lr": rate * factor, FACTOR: factor} for factor, own in _by_rate(spec, list(parameters))
    ]
    if weighing := list(undecayed):
        groups.append({"params": weighing, "weight_decay": 0.0})
    if spec.optimiser == "sgd":
        return torch.optim.SGD(groups, rate, spec.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if spec.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, rate, weight_decay=decay)


def _by_rate(spec: OptimiserSpec, named: list[tuple[str, nn.Parameter]]) -> list[tuple[float, list[nn.Parameter]]]:
    """Return the parameters by the factor of their rate: those of no pattern first, others by the first that fits."""
    found: dict[str, list[nn.Parameter]] = {"": [], **{pattern: [] for pattern in spec.rate}}
    for name, parameter in named:
        found[next((pattern for pattern in spec.rate if fnmatchcase(name, pattern)), "")].append(parameter)
    if empty := [pattern for pattern, own in found.items() if pattern and not own]:
        some = ", ".join(name for name, _ in named[:3])
        raise ValueError(f"`rate` must have patterns that fit names of parameters, such as {some}, got {empty[0]!r}.")
    return [(spec.rate.get(pattern, 1.0), own) for pattern, own in found.items() if own]


def set_rate(optimizer: Optimizer, spec: OptimiserSpec, progress: float) -> None:
    """Give an optimiser the rates for a progress in [0, 1): the start's, or their cosine."""
    factor = 0.5 * (1 + math.cos(math.pi * progress)) if spec.schedule == "cosine" else 1.0
    for group in optimizer.param_groups:
        group["lr"] = spec.learning_rate * factor * group.get(FACTOR, 1.0)
