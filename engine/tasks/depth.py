"""The distance of every pixel in metres: absolute error, pooled over the pixels that have one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, masked_mean, share

NEAREST = 0.01  # m; a prediction below it counts as it in ratios


@dataclass(frozen=True)
class Depth:
    """Predicts (B, 1, H, W) for depths (B, H, W) in metres; 0 is left out."""

    field: Field
    outputs: int = 1

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of known pixels."""
        return counted(target > 0)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the mean absolute error [m] over known pixels."""
        known = None if counts is None else counts[0]
        return masked_mean((prediction[:, 0] - target).abs(), target > 0, known)

    def meter(self) -> "DepthMeter":
        """Return an empty meter."""
        return DepthMeter()

    def constant(self, target: Tensor) -> Tensor:
        """Return the median, which has the smallest mean absolute error."""
        return target[target > 0].float().median()[None]

    def mirror(self, target: Tensor) -> Tensor:
        """Mirror the map."""
        return target.flip(2)


class DepthMeter:
    """Sums the field's usual errors over known pixels (Eigen et al., arXiv 1406.2283)."""

    def __init__(self) -> None:
        self._sums = torch.zeros(5, dtype=torch.float64)  # n, |e|, |e|/g, e², ratio < 1.25

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        known = target > 0
        guess, truth = prediction[:, 0][known].double(), target[known].double()
        error = (guess - truth).abs()
        near = guess.clamp(min=NEAREST)
        close = torch.maximum(near / truth, truth / near) < 1.25
        close = close.double().masked_fill(error.isnan(), torch.nan)
        terms = [torch.ones_like(error), error, error / truth, error.square(), close]
        self._sums += torch.stack(terms).sum(1).cpu()

    @property
    def sums(self) -> list[Tensor]:
        """The sums of the errors."""
        return [self._sums]

    def compute(self) -> dict[str, float]:
        """Return absolute error and RMSE [m], relative error [%], share with max(p/g, g/p) < 1.25 [%]."""
        n, absolute, relative, squared, close = self._sums.tolist()
        return {
            "abs_error": share(absolute, n),
            "rel_error": 100 * share(relative, n),
            "rmse": share(squared, n) ** 0.5,
            "delta_1": 100 * share(close, n),
        }
