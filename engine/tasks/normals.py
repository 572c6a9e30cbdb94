"""The direction of the surface at every pixel: 1 − cosine; angles by atan2, which keeps small ones exact."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, masked_mean, share

BINS = 3600  # of 0.05° for the median


@dataclass(frozen=True)
class Normals:
    """Predicts directions (B, 3, H, W), of any length, for unit normals (B, H, W, 3); (0, 0, 0) is left out.

    A normal is known when its norm exceeds 0.5: a test of its sum or its largest component would drop level floors.
    """

    field: Field
    outputs: int = 3

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of known pixels."""
        return counted(known_normals(target))

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the mean of 1 − cos over known pixels."""
        cosine = functional.cosine_similarity(prediction, target.movedim(3, 1), dim=1, eps=1e-6)
        return masked_mean(1 - cosine, known_normals(target), None if counts is None else counts[0])

    def meter(self) -> "AngleMeter":
        """Return an empty meter."""
        return AngleMeter()

    def constant(self, target: Tensor) -> Tensor:
        """Return the mean direction."""
        return functional.normalize(target[known_normals(target)].float().mean(0), dim=0)

    def mirror(self, target: Tensor) -> Tensor:
        """Mirror the map; x points the other way."""
        return target.flip(2) * target.new_tensor([-1.0, 1.0, 1.0])


class AngleMeter:
    """Counts angles in bins of 0.05° for the median, and sums them for the mean."""

    def __init__(self) -> None:
        self._histogram = torch.zeros(BINS, dtype=torch.int64)
        self._sums = torch.zeros(5, dtype=torch.float64)  # n, angle, < 11.25, < 22.5, < 30

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        known = known_normals(target)
        guess = functional.normalize(prediction.movedim(1, 3)[known].double(), dim=1)
        truth = functional.normalize(target[known].double(), dim=1)
        angle = torch.rad2deg(2 * torch.atan2((guess - truth).norm(dim=1), (guess + truth).norm(dim=1)))
        unknown = angle.isnan()
        within = [(angle < bound).double().masked_fill(unknown, torch.nan) for bound in (11.25, 22.5, 30.0)]
        self._sums += torch.stack([torch.ones_like(angle), angle, *within]).sum(1).cpu()
        bins = (angle.nan_to_num() * (BINS / 180)).long().clamp(max=BINS - 1)
        self._histogram += torch.bincount(bins, minlength=BINS).cpu()

    @property
    def sums(self) -> list[Tensor]:
        """The sums of the angles, and their histogram."""
        return [self._sums, self._histogram]

    def compute(self) -> dict[str, float]:
        """Return mean and median angle [°, the median within 0.025] and the shares within three bounds [%]."""
        n, total, *within = self._sums.tolist()
        mean = share(total, n)
        middle = int((self._histogram.cumsum(0) * 2 < n).sum())
        median = mean if math.isnan(mean) else (middle + 0.5) * 180 / BINS
        shares = {f"within_{bound}": 100 * share(count, n) for bound, count in zip((11, 22, 30), within, strict=True)}
        return {"mean_angle": mean, "median_angle": median, **shares}


def known_normals(target: Tensor) -> Tensor:
    """Return which pixels (B, H, W) have a normal: those whose norm exceeds 0.5."""
    return target.square().sum(-1) > 0.25
