"""Affinity of tasks: whether they pull a layer the same way, and whether the same channels matter to them.

Two numbers per layer and pair of tasks: the cosine of the gradients of their losses with respect to the layer's weights
(they conflict where it is negative; Yu et al., arXiv 2001.06782, per layer as in Recon, 2302.11289), and the rank
correlation of the effects of the same ablations on the two tasks.
"""

from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.explain.checks.agreement import spearman
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.graph.modes import evaluating, requiring_grad
from winnow.engine.graph.preserving import preserved
from winnow.engine.training.batches import Batch

KEYS = ["layer", "task", "other"]


def task_affinity(probe: Probe, ablated: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one row per layer and two tasks: layer, task, other, cosine, conflict_rate, transfer.

    cosine: of the gradients of the mean losses over all images. conflict_rate: share of the batches where it is
    negative. transfer: Spearman correlation of the two tasks' `effect` over the single channels in `ablated`.
    """
    found = gradient_cosines(probe)
    moved = effect_correlations(ablated) if ablated is not None else pd.DataFrame(columns=[*KEYS, "transfer"])
    return found.merge(moved, on=KEYS, how="left")


def effect_correlations(ablated: pd.DataFrame) -> pd.DataFrame:
    """Return one row per layer and two tasks, from rows of an ablation: layer, task, other, transfer."""
    single = ablated[ablated["channel"] >= 0]
    tasks = list(dict.fromkeys(single["task"]))
    rows = []
    for layer, own in single.groupby("layer", sort=False):
        wide = own.pivot(index="channel", columns="task", values="effect")
        rows += [(layer, one, other, spearman(wide[one], wide[other])) for one, other in combinations(tasks, 2)]
    return pd.DataFrame(rows, columns=[*KEYS, "transfer"])


def gradient_cosines(probe: Probe) -> pd.DataFrame:
    """Return one row per layer with weights and two tasks: layer, task, other, cosine, conflict_rate."""
    weights = {site.name: site.axis.parameter for site in probe.sites if site.axis is not None}
    tasks = list(probe.objectives)
    if not weights:
        return pd.DataFrame(columns=[*KEYS, "cosine", "conflict_rate"])
    sums: list[list[Tensor]] = []
    cosines: list[list[list[float]]] = []
    with evaluating(probe.model), requiring_grad(weights.values(), wanted=True), torch.enable_grad():
        for batch in probe.batches():
            with preserved(probe.model):
                rows = _rows(probe, batch, list(weights.values()))
            cosines.append([_cosines([row[i] for row in rows]) for i in range(len(weights))])
            sums = rows if not sums else [_added(one, other) for one, other in zip(sums, rows, strict=True)]
    whole = [_cosines([row[i] for row in sums]) for i in range(len(weights))]
    rates = (np.array(cosines) < 0).mean(0) if cosines else np.zeros((0, 0))
    found = [
        (layer, one, other, whole[i][j], float(rates[i][j]))
        for i, layer in enumerate(weights)
        for j, (one, other) in enumerate(combinations(tasks, 2))
    ]
    return pd.DataFrame(found, columns=[*KEYS, "cosine", "conflict_rate"])


def _rows(probe: Probe, batch: Batch, weights: list[nn.Parameter]) -> list[list[Tensor]]:
    """Return each task's gradient of the summed loss at the weights."""
    predictions = probe.model(batch.images)
    rows = []
    for name, objective in probe.objectives.items():
        own = objective.losses
        value = own.value(predictions[name], own.freeze(predictions[name], batch.targets.get(name))).sum()
        grads = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        rows.append([torch.zeros_like(w) if g is None else g for g, w in zip(grads, weights, strict=True)])
    return rows


def _added(one: list[Tensor], other: list[Tensor]) -> list[Tensor]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _cosines(gradients: list[Tensor]) -> list[float]:
    """Return the cosine of every two gradients; NaN where one is zero."""
    flat = [gradient.reshape(-1).double() for gradient in gradients]
    pairs = combinations(flat, 2)
    return [float(one @ other / (one.norm() * other.norm())) for one, other in pairs]
