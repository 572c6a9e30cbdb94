"""Whether a pixel lies on an edge: cross-entropy balanced between the few edges and the many others."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, masked_mean

BINS = 1000


@dataclass(frozen=True)
class Edges:
    """Predicts logits (B, 1, H, W) for {0, 1} (B, H, W); -1 is left out."""

    field: Field
    outputs: int = 1

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of known pixels, and of those on an edge."""
        return counted(target >= 0, target == 1)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the class-balanced cross-entropy [nat] (Xie & Tu, arXiv 1504.06375), mean over known pixels."""
        known, edges = self.counts(target) if counts is None else counts
        edge = (target == 1).to(prediction.dtype)
        share = edges.to(prediction.dtype) / known.clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits(prediction[:, 0], edge, reduction="none")
        return masked_mean(entropy * (edge * (1 - share) + (1 - edge) * share), target >= 0, known)

    def meter(self) -> "EdgeMeter":
        """Return an empty meter."""
        return EdgeMeter()

    def constant(self, target: Tensor) -> Tensor:
        """Return the logit of the share of edges: every pixel scores the same."""
        return torch.logit((target[target >= 0] == 1).float().mean(), eps=1e-6)[None]

    def mirror(self, target: Tensor) -> Tensor:
        """Mirror the map."""
        return target.flip(2)


class EdgeMeter:
    """Counts edges and others by predicted probability, in bins of 0.001."""

    def __init__(self) -> None:
        self._counts = torch.zeros(2, BINS, dtype=torch.int64)  # others, edges
        self._unknown = torch.zeros((), dtype=torch.int64)  # predictions that are NaN

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        self._unknown += (prediction[:, 0].isnan() & (target >= 0)).sum().cpu()
        bins = (prediction[:, 0].sigmoid().nan_to_num() * BINS).long().clamp(max=BINS - 1)
        for kind in (0, 1):
            self._counts[kind] += torch.bincount(bins[target == kind], minlength=BINS).cpu()

    @property
    def sums(self) -> list[Tensor]:
        """The counts so far."""
        return [self._counts, self._unknown]

    def compute(self) -> dict[str, float]:
        """Return F at the best threshold of the split and the average precision, in per cent.

        NaN where no pixel lies on an edge. Pixel by pixel, without the tolerance in place of the boundary benchmarks:
        lower than their ODS-F.
        """
        if self._unknown or not self._counts[1].any():
            return {"f_measure": math.nan, "average_precision": math.nan}
        others, edges = self._counts.flip(1).cumsum(1).double()  # by falling threshold
        precision = edges / (edges + others).clamp(min=1)
        recall = edges / edges[-1].clamp(min=1)
        f = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
        steps = torch.diff(recall, prepend=recall.new_zeros(1))
        return {"f_measure": 100 * float(f.max()), "average_precision": 100 * float((precision * steps).sum())}
