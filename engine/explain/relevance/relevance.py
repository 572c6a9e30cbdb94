"""`relevance(model, batches)`: for every task, shared layer and channel, how much the task relies on it."""

from collections.abc import Sequence
from typing import get_args

import pandas as pd
from torch import nn

from winnow.engine.explain.relevance.means import Means, channel_means
from winnow.engine.explain.relevance.probe import Images, Probe, Tasks, probe, warn_of_left_out
from winnow.engine.explain.relevance.scores import Scores
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.relevance.taylor import positions, taylor
from winnow.engine.specs.explain import METHODS, Method


def relevance(
    model: nn.Module,
    batches: Images,
    *,
    layers: Sequence[str] | None = None,
    method: Method = "taylor",
    tasks: Tasks | None = None,
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return the relevance of every channel of every shared layer for every task, with a 95 % interval over images.

    To first order, it is how much an image's loss changes when the channel is replaced by its mean (Molchanov et al.
    2019, arXiv 1906.10771, there for zero in the place of the mean).

    Columns: task, layer, channel, relevance, low, high; then even, odd (the relevance over every second image), alive
    (whether the layer reads the channel with a weight that is not zero). For methods that are complete also signed
    (mean of the sum with its sign), difference (mean of f(x) − f(baseline)) and residual, so that
    Σ_channels signed + residual = difference. Units: those of the task's loss or output.

    Args:
        model: any module whose forward returns a dict {task: tensor}.
        batches: see `engine.explain.relevance.probe.probe`.
        layers: names of layers, by default all that the tasks share; `engine.explain.relevance` says what a layer and a
            channel are.
        method: taylor, |Σ over positions of (a − μ) ∂f/∂a| per image, or taylor_positions, Σ over positions of
            |(a − μ) ∂f/∂a|, both for all layers at once; or one of Captum's.
        tasks: what the model's outputs are; by default the tasks of the batches.
        settings: loss or output, mean or zero, how many images, …

    Raises:
        ValueError: an unknown method, layer or task, or no images.
        NotAttributableError: the method would silently give wrong numbers on this model.

    Examples:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.trunk = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
        ...         self.heads = nn.ModuleDict({"sum": nn.Linear(3, 1)})
        ...
        ...     def forward(self, x):
        ...         return {"sum": self.heads["sum"](self.trunk(x))}
        >>> batches = [(torch.rand(8, 4), {"sum": torch.rand(8, 1)})]
        >>> found = relevance(Net(), batches)
        >>> found["layer"].value_counts().sort_index().to_dict()  # what each layer reads, and what the head reads
        {'trunk': 3, 'trunk.0': 4, 'trunk.2': 3}

    """
    if method not in get_args(Method):
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}, got {method!r}.")
    probed = probe(model, batches, layers=layers, tasks=tasks, settings=settings)
    warn_of_left_out(probed)
    return probe_relevance(probed, method)


def probe_relevance(probed: Probe, method: Method, means: Means | None = None) -> pd.DataFrame:
    """Return the frame of `relevance` for a probe; pass the channel means if they are known already."""
    scores = Scores(tuple(probed.objectives), probed.sites, probed.settings.bootstrap, probed.settings.seed)
    if method == "taylor":
        taylor(probed, means, scores)
        return scores.frame()
    means = channel_means(probed) if means is None else means
    if method == "taylor_positions":
        positions(probed, means, scores)
    else:
        from winnow.engine.explain.relevance.captum_methods import (
            captum_scores,  # seconds of import: only when one of its methods is wanted
        )

        captum_scores(method, probed, means, scores)
    return scores.frame()
