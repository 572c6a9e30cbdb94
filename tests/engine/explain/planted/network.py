"""A network for the data set `planted` whose weights are written down, not trained: who uses what is known.

`planted_network(seed)` builds it; `recovery.recovery` holds what `engine.explain.relevance` and `engine.explain.usage`
say about it against that truth.

The trunk is three convolutions with ReLUs. The first holds a matched filter for the pattern of every cause, with a
threshold above the answer of any other pattern; two 1×1 convolutions pass what it finds on, as `wiring` says. The heads
of the tasks have a hidden layer each, whose units serve one cause: the amount is their weighted sum, the strongest one
and the place are read off by comparing them. Everything else leaks: every weight between living channels that the
wiring does not want is random noise of standard deviation `leak` (those that it wants add up to 1 in every reader), as
training leaves it. So no relevance of a living channel is exactly 0, and who uses it has to be told from who hardly
notices it.

The truth covers what the second and the third convolution read and the output of the trunk. The colours of the images,
which the first one reads, are planted for nobody.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from tests.engine.explain.planted.wiring import SCALES, TASKS, Flags, Stage, log_uniform, truth, wiring
from winnow.data.planted import AMOUNT_SPREAD, AMOUNTS, CAUSES, CONTRAST, FIELDS, PATCH, WEAKEST, causes_of, looks
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task

LAYERS = ("trunk.2", "trunk.4", "trunk")  # whose channels are known
THRESHOLD = 0.3  # of a pattern of strength 1; others answer with .24 at most
REACH = 3.6  # of the place's hidden units around the middle of a pattern [pixel]
UNITS = 3  # hidden units per cause
STEEPNESS = {"strongest": 8.0, "place": 12.0}  # logit per strength
NONE = 2.0  # logit of "none"
USUAL = 0.3  # weights of what nobody reads, as large as others
Array = NDArray[np.float64]
M = TypeVar("M", nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Planted:
    """A network, its tasks, and who uses which channel: the columns of `tests.engine.explain.planted.wiring.truth`."""

    net: MultiTaskNet
    tasks: dict[str, Task]
    truth: pd.DataFrame


def planted_network(seed: int = 0, size: int = 64, leak: float = 1e-3) -> Planted:
    """Return a network for `data.planted.Planted(…, size, seed)`, in evaluation mode, and the truth about it.

    Args:
        seed: of the looks, which have to be those of the images, the wiring and the weights.
        size: side of the images that it is made for [pixel].
        leak: standard deviation of the weights that nobody planted; planted ones add up to 1 in every reader.

    Raises:
        ValueError: a negative leak.

    """
    if not leak >= 0:
        raise ValueError(f"`leak` must be at least 0, got {leak}.")
    plan = wiring(seed)
    weights = _Weights(np.random.default_rng([seed, len(CAUSES)]), leak)
    trunk = nn.Sequential(_matched(plan.stages[0], seed, weights), nn.ReLU())
    for before, after, link in zip(plan.stages, plan.stages[1:], plan.links, strict=False):
        trunk.extend([_point(weights.between(before, after, link)), nn.ReLU()])
    gains = _gains(seed) * (size - PATCH + 1) ** 2
    heads = {task: _head(task, plan.stages[-1], gains, weights) for task in TASKS}
    known = pd.concat([truth(stage, layer) for stage, layer in zip(plan.stages, LAYERS, strict=True)])
    net = MultiTaskNet(trunk, heads).eval()
    return Planted(net, build_tasks(FIELDS, TASKS), known.reset_index(drop=True))


@dataclass(frozen=True)
class _Weights:
    """Makes weights: what is planted, and what leaks."""

    chance: np.random.Generator
    leak: float

    def noise(self, rows: int, stage: Stage) -> Array:
        """Return what leaks from a stage to `rows` readers, (rows, channels); from its unread channels nothing does."""
        found = self.leak * self.chance.normal(size=(rows, len(stage)))
        found[:, stage.dead & ~stage.silent] = 0
        return found

    def between(self, before: Stage, after: Stage, link: Flags) -> Array:
        """Return the weights (channels after, channels before) of a 1×1 convolution."""
        found = np.where(link, _parts(link * before.strength), self.noise(len(after), before))
        found[after.dead] *= USUAL / max(self.leak, 1e-12)  # what nobody reads may carry anything
        found[after.silent] = 0
        return found * after.scale[:, None] / before.scale

    def units(self, task: str, stage: Stage, gains: Array) -> tuple[Array, Array]:
        """Return a head's weights (units, channels) and (outputs, units): every unit serves one cause."""
        causes = np.repeat([list(CAUSES).index(cause) for cause in causes_of(task)], UNITS)
        wanted = stage.uses[:, TASKS.index(task)] & (stage.cause == causes[:, None])
        sizes = log_uniform(self.chance, SCALES, len(causes))
        read = np.where(wanted, _parts(wanted * stage.strength), self.noise(len(causes), stage))
        parts = self.chance.dirichlet(np.ones(UNITS), len(causes) // UNITS).ravel()
        aims = np.repeat(_aims(task), UNITS, 1)
        told = aims * parts + np.abs(aims).max() * self.leak * self.chance.normal(size=aims.shape)
        return read * (sizes * gains[causes])[:, None] / stage.scale, told / sizes


def _parts(strengths: Array) -> Array:
    """Return each row as parts of 1; a row of zeros stays."""
    sums = strengths.sum(1, keepdims=True)
    found: Array = strengths / np.where(sums > 0, sums, 1.0)
    return found


def _aims(task: str) -> Array:
    """Return what a task's outputs are made of: (outputs, causes of the task), per strength."""
    causes = causes_of(task)
    if task == "amount":
        return np.array([[AMOUNTS[cause] for cause in causes]]) / AMOUNT_SPREAD
    return STEEPNESS[task] * np.eye(len(causes) + 1, len(causes), -1)


def _gains(seed: int) -> Array:
    """Return, per cause, what to multiply the sum over positions of a filter's answer with to get the strength.

    An answer at a distance is the pattern's autocorrelation there, less the threshold; the best line through 0 fits.
    """
    patterns = looks(seed).astype(float)
    around = np.pad(patterns, ((0, 0), (PATCH - 1,) * 2, (PATCH - 1,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (PATCH, PATCH), (1, 2))
    answers = np.einsum("kyxchw,khwc->kyx", windows, patterns) / np.square(patterns).sum((1, 2, 3))[:, None, None]
    strengths = np.linspace(WEAKEST, 1, 11)
    sums = np.maximum(strengths * answers[..., None] - THRESHOLD, 0).sum((1, 2))
    found: Array = (sums * strengths).sum(1) / np.square(sums).sum(1)
    return found


def _matched(stage: Stage, seed: int, weights: _Weights) -> nn.Conv2d:
    """Return the first convolution, unpadded: a pattern of strength 1 answers with scale · (1 − threshold)."""
    patterns = looks(seed).astype(float)
    filters = patterns / np.square(patterns).sum((1, 2, 3), keepdims=True)
    unread = weights.chance.permuted(filters.reshape(len(filters), -1), axis=1).reshape(filters.shape)
    chosen = np.where(stage.dead[:, None, None, None], unread[stage.cause], filters[stage.cause])
    chosen = chosen * np.where(stage.silent, 0.0, stage.scale)[:, None, None, None] / CONTRAST
    return _convolution(chosen.transpose(0, 3, 1, 2), np.where(stage.silent, 0.0, -THRESHOLD * stage.scale))


def _head(task: str, stage: Stage, gains: Array, weights: _Weights) -> nn.Module:
    """Return the head of a task: a hidden layer on the pooled features, or at every pixel on those around it."""
    dense = FIELDS[task].dense
    read, told = weights.units(task, stage, np.ones(len(CAUSES)) if dense else gains)
    bias = np.zeros(len(told))
    bias[0] = 0.0 if task == "amount" else NONE
    if not dense:
        pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*pooled, _linear(read, np.zeros(len(read))), nn.ReLU(), _linear(told, bias))
    along = np.arange(PATCH) - PATCH // 2
    near = np.add.outer(along**2, along**2) <= REACH**2
    spread = _convolution(
        read[:, :, None, None] * near, np.zeros(len(read)), PATCH - 1
    )  # undoes the unpadded first one
    return nn.Sequential(spread, nn.ReLU(), _point(told, bias))


def _point(weight: Array, bias: Array | None = None) -> nn.Conv2d:
    return _convolution(weight[:, :, None, None], np.zeros(len(weight)) if bias is None else bias)


def _convolution(weight: Array, bias: Array, padding: int = 0) -> nn.Conv2d:
    made = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=padding)
    return _filled(made, weight, bias)


def _linear(weight: Array, bias: Array) -> nn.Linear:
    return _filled(nn.Linear(weight.shape[1], weight.shape[0]), weight, bias)


def _filled(made: M, weight: Array, bias: Array) -> M:
    made.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return made
