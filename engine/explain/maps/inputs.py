"""Which pixels a task relies on: integrated gradients and occlusion, for the same objectives as relevance.

Integrated gradients: (x − x') ∫₀¹ ∂f/∂x(x' + α(x − x')) dα, summed over colours, with x' the base image (the mean
colours or black). The integral is a Gauss–Legendre sum, exact where f is a polynomial along the path; the residual is
what the sum over pixels lacks of f(x) − f(x'). Occlusion: f(x) − f(x with one patch in the base's colours).

Sources: Sundararajan et al., arXiv 1703.01365; Zeiler and Fergus, 1311.2901.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.training.batches import Batch


@dataclass(frozen=True)
class Integrated:
    """Attributions (T, B, H, W); f(x) − f(base), and what the sum over the pixels lacks of it, (T, B)."""

    pixels: Tensor
    difference: Tensor
    residual: Tensor


class Explained:
    """The objectives of some images: each task as one number per image, with its frozen part."""

    def __init__(self, asked: Probe, batch: Batch) -> None:
        self._asked = asked
        with torch.no_grad():
            given = asked.model(batch.images)
        self._frozen = {
            name: objective.freeze(given[name], batch.targets.get(name)) for name, objective in asked.objectives.items()
        }
        self.predictions: Mapping[str, Tensor] = given

    def values(self, images: Tensor) -> Tensor:
        """Return the numbers of images that are variants of the given ones, (T, B)."""
        given = self._asked.model(images)
        objectives = self._asked.objectives
        return torch.stack([objectives[name].value(given[name], self._frozen[name]) for name in objectives])


def integrated_gradients(explained: Explained, images: Tensor, base: Tensor, steps: int) -> Integrated:
    """Return the integrated gradients of images (B, C, H, W) from a base (1, C, 1, 1), on a frozen model."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    away = images - base
    sums: list[Tensor] = []
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (base + float(node) * away).requires_grad_()
        with torch.enable_grad():
            values = explained.values(point).sum(1)
        rows = [
            torch.autograd.grad(value, point, retain_graph=place < len(values) - 1, allow_unused=True)[0]
            for place, value in enumerate(values)
        ]
        part = torch.stack([torch.zeros_like(point) if row is None else row for row in rows]).detach()
        sums = [part * float(weight) if not sums else sums[0] + part * float(weight)]
    pixels = (sums[0] * away).sum(2)
    with torch.no_grad():
        difference = explained.values(images) - explained.values(base.expand_as(images))
    return Integrated(pixels, difference, difference - pixels.sum((2, 3)))


@torch.no_grad()
def occlusion(explained: Explained, images: Tensor, base: Tensor, patch: int) -> Tensor:
    """Return f(x) − f(x without a patch) for patches side by side, (T, B, ⌈H/patch⌉, ⌈W/patch⌉)."""
    whole = explained.values(images)
    rows, columns = (len(range(0, side, patch)) for side in images.shape[-2:])
    parts = [whole - explained.values(hidden) for hidden in _hidden(images, base, patch)]
    return torch.stack(parts, 2).reshape(*whole.shape, rows, columns)


def _hidden(images: Tensor, base: Tensor, patch: int) -> Iterator[Tensor]:
    height, width = images.shape[-2:]
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            found = images.clone()
            found[:, :, top : top + patch, left : left + patch] = base
            yield found
