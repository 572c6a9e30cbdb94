"""The measure that agrees best with ablation: |(a − μ_c) · ∂L_t/∂a|, to first order the effect of μ_c in a's place.

One forward and one backward per task serve all layers together. The weights are frozen meanwhile, so that a backward
costs only what the gradients of the activations do, half of a training step's. Images do not meet in evaluation mode,
so that the gradient of the sum over a batch is every image's own (Molchanov et al., arXiv 1906.10771, with the mean of
a channel in the place of zero).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.attribution.means import Means
from engine.attribution.probe import Probe
from engine.attribution.scores import Scores
from engine.attribution.sites import Site, passing
from engine.attribution.still import still
from engine.batches import Batch

Kept = Mapping[str, list[Tensor]]


def taylor(probe: Probe, means: Means, scores: Scores) -> None:
    """Add mean over images of Σ over positions of |(a − μ_c) ∂f_t/∂a| to the scores, for every site and task."""
    with still(probe.model), torch.enable_grad():
        for batch in probe.batches():
            scores.add(_contributions(probe, batch, means))


def _contributions(probe: Probe, batch: Batch, means: Means) -> NDArray[np.float32]:
    """Return Σ |contribution| of a batch: (B, tasks, cells)."""
    with passing(probe.sites) as kept:
        predictions = probe.model(batch.images)
    tensors = [tensor for site in probe.sites for tensor in kept[site.name]]
    deviations = _deviations(probe.sites, kept, means)
    rows = []
    for place, (name, objective) in enumerate(probe.objectives.items()):
        prediction = predictions[name]
        values = objective.value(prediction, objective.freeze(prediction, batch.targets.get(name)))
        last = place == len(probe.objectives) - 1
        grads = torch.autograd.grad(values.sum(), tensors, retain_graph=not last, allow_unused=True)
        rows.append(_products(probe.sites, kept, deviations, list(grads)))
    found: NDArray[np.float32] = torch.stack(rows, 1).float().cpu().numpy()
    return found


def _deviations(sites: Sequence[Site], kept: Kept, means: Means) -> list[Tensor]:
    with torch.no_grad():
        return [tensor - site.shaped(means[site.name], tensor) for site in sites for tensor in kept[site.name]]


@torch.no_grad()
def _products(sites: Sequence[Site], kept: Kept, deviations: list[Tensor], grads: list[Tensor | None]) -> Tensor:
    """Return Σ over positions of |deviation · gradient|, (B, cells): zeros where nothing depends on the site."""
    parts, place = [], 0
    for site in sites:
        calls = len(kept[site.name])
        sums = [
            site.per_channel((deviations[i] * grad).abs_()).sum(2)
            for i in range(place, place + calls)
            if (grad := grads[i]) is not None
        ]
        place += calls
        parts.append(torch.stack(sums).sum(0) if sums else torch.zeros(len(deviations[0]), site.channels))
    return torch.cat([part.to(deviations[0].device) for part in parts], 1)
