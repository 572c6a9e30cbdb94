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
        self._sums = torch.zeros(8, dtype=torch.float64)  # n, |e|, |e|/g, e², (ln p/g)², ratio < 1.25, 1.25², 1.25³

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        known = target > 0
        guess, truth = prediction[:, 0][known].double(), target[known].double()
        error = (guess - truth).abs()
        near = guess.clamp(min=NEAREST)
        ratio, unknown = torch.maximum(near / truth, truth / near), error.isnan()
        close = [(ratio < 1.25**k).double().masked_fill(unknown, torch.nan) for k in (1, 2, 3)]
        terms = [torch.ones_like(error), error, error / truth, error.square(), ratio.log().square(), *close]
        self._sums += torch.stack(terms).sum(1).cpu()

    @property
    def sums(self) -> list[Tensor]:
        """The sums of the errors."""
        return [self._sums]

    def compute(self) -> dict[str, float]:
        """Return absolute error and RMSE [m], relative error [%], RMSE of ln p, shares with max(p/g, g/p) < 1.25^k [%].

        In ratios and logarithms, a prediction p below 1 cm counts as 1 cm.
        """
        n, absolute, relative, squared, logs, *close = self._sums.tolist()
        return {
            "abs_error": share(absolute, n),
            "rel_error": 100 * share(relative, n),
            "rmse": share(squared, n) ** 0.5,
            "log_rmse": share(logs, n) ** 0.5,
            **{f"delta_{k}": 100 * share(count, n) for k, count in enumerate(close, 1)},
        }
