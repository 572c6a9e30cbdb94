"""A number for the whole image: squared error in units of the field's scale."""

from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, share


@dataclass(frozen=True)
class Regression:
    """Predicts (B, 1), in units of the field's scale, for values (B,) in the field's unit."""

    field: Field
    outputs: int = 1

    def counts(self, target: Tensor) -> Tensor:
        """Return the number of images."""
        return counted(torch.ones_like(target, dtype=torch.bool))

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the mean squared error, divided by the squared scale."""
        squares = (prediction[:, 0] - target / self.field.scale).square()
        return squares.mean() if counts is None else squares.sum() / counts[0]

    def meter(self) -> "ValueMeter":
        """Return an empty meter."""
        return ValueMeter(self.field.scale)

    def constant(self, target: Tensor) -> Tensor:
        """Return the mean."""
        return target.float().mean()[None] / self.field.scale

    def mirror(self, target: Tensor) -> Tensor:
        """Return the target: it does not know left from right."""
        return target


class ValueMeter:
    """Sums errors, squared errors and the moments of the target."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._sums = torch.zeros(5, dtype=torch.float64)  # n, |e|, e², y, y²

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch: (B, 1) and (B,)."""
        truth = target.double().cpu()
        error = prediction[:, 0].double().cpu() * self._scale - truth
        ones = torch.ones_like(error)
        self._sums += torch.stack([ones, error.abs(), error**2, truth, truth**2]).sum(1)

    @property
    def sums(self) -> list[Tensor]:
        """The sums of the errors and of the target's moments."""
        return [self._sums]

    def compute(self) -> dict[str, float]:
        """Return MAE and RMSE in the field's unit, and R² = 1 − Σe²/Σ(y − ȳ)²."""
        n, absolute, squared, total, total_squared = self._sums.tolist()
        spread = total_squared - share(total**2, n)
        r2 = 1 - squared / spread if spread > 0 else float("nan")
        return {"mae": share(absolute, n), "rmse": share(squared, n) ** 0.5, "r2": r2}
