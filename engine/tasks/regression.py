"""Numbers: one for the image, several for the image, or one for every pixel; NaN is left out of losses and metrics."""

from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.data.sample import Field
from winnow.engine.tasks.task import counted, share

SAME = 1e-12  # of Σy²: a smaller spread is what rounding makes of numbers that are all the same


@dataclass(frozen=True)
class Numbers:
    """Predicts numbers in units of the field's scale; (B, 1, …) or (B, outputs) as `_read` says."""

    field: Field

    @property
    def outputs(self) -> int:
        """One number."""
        return 1

    def counts(self, target: Tensor) -> Tensor:
        """Return how many numbers are known."""
        return counted(~target.isnan())

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the mean squared error over known numbers, divided by the squared scale."""
        known = ~target.isnan()
        error = self.read(prediction) - target.nan_to_num() / self.field.scale
        total = (error.square() * known).sum()
        return total / (known.sum() if counts is None else counts[0]).clamp(min=1)

    def meter(self) -> "ValueMeter":
        """Return an empty meter."""
        return ValueMeter(self.field.scale, self.outputs)

    def constant(self, target: Tensor) -> Tensor:
        """Return the mean of each output; 0 of one that is never known."""
        columns = target.float().movedim(-1, 0).flatten(1) if self.outputs > 1 else target.float().flatten()[None]
        return columns.nanmean(1).nan_to_num() / self.field.scale

    def mirror(self, target: Tensor) -> Tensor:
        """Return the target: it does not know left from right."""
        return target

    def read(self, prediction: Tensor) -> Tensor:
        """Return the prediction in the shape of the target."""
        return prediction[:, 0]


class Regression(Numbers):
    """A number for the whole image: (B, 1), in units of the field's scale, for values (B,) in the field's unit."""


class Map(Numbers):
    """A number for every pixel: (B, 1, H, W), in units of the field's scale, for values (B, H, W)."""

    def mirror(self, target: Tensor) -> Tensor:
        """Mirror the map."""
        return target.flip(2)


class Vector(Numbers):
    """Several numbers for the image: (B, outputs), in units of the field's scale, for values (B, outputs)."""

    @property
    def outputs(self) -> int:
        """One number per class of the field."""
        return len(self.field.classes)

    def read(self, prediction: Tensor) -> Tensor:
        """Return the prediction."""
        return prediction


class ValueMeter:
    """Sums errors, squared errors and the moments of the target, of each output."""

    def __init__(self, scale: float, outputs: int = 1) -> None:
        self._scale, self._outputs = scale, outputs
        self._sums = torch.zeros(5, outputs, dtype=torch.float64)  # n, |e|, e², y, y²

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch: (B, outputs, …) and (B,), (B, H, W) or (B, outputs)."""
        guess = prediction.double().cpu().movedim(1, -1).reshape(-1, self._outputs) * self._scale
        truth = target.double().cpu().reshape(-1, self._outputs)
        known, truth = ~truth.isnan(), truth.nan_to_num()
        error = torch.where(known, guess - truth, 0)
        self._sums += torch.stack([known.double(), error.abs(), error**2, truth, truth**2]).sum(1)

    @property
    def sums(self) -> list[Tensor]:
        """The sums of the errors and of the target's moments."""
        return [self._sums]

    def compute(self) -> dict[str, float]:
        """Return MAE and RMSE in the field's unit over all known numbers, and R² = 1 − Σe²/Σ(y − ȳ)².

        Of several outputs, R² is the mean over those whose truth varies.
        """
        n, absolute, squared = self._sums[:3].sum(1).tolist()
        return {"mae": share(absolute, n), "rmse": share(squared, n) ** 0.5, "r2": self._r2()}

    def _r2(self) -> float:
        found = []
        for n, _, squared, total, total_squared in self._sums.T.tolist():
            spread = total_squared - share(total**2, n)
            if spread > SAME * total_squared:
                found.append(1 - squared / spread)
        return share(sum(found), len(found))
