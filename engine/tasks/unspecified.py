"""A task of which only the output is known: one that a recorded run named without saying what it is."""

from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.data.sample import Field


@dataclass(frozen=True)
class Unspecified:
    """Has an output, and neither a loss nor a metric."""

    field: Field
    outputs: int = 0

    def counts(self, target: Tensor) -> Tensor:
        """Return 0: nothing is labelled."""
        return torch.zeros(1, dtype=torch.int64)

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return 0: nothing is labelled."""
        return prediction.sum() * 0

    def meter(self) -> "NoMeter":
        """Return a meter without metrics."""
        return NoMeter()

    def constant(self, target: Tensor) -> Tensor:
        """Refuse: what serves best is not known.

        Raises:
            ValueError: always.

        """
        raise ValueError(
            "`tasks` must say what each task is before it can be evaluated, got a recorded run without them. Give "
            "record() its `tasks`."
        )

    def mirror(self, target: Tensor) -> Tensor:
        """Return the target."""
        return target


class NoMeter:
    """Gathers nothing."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Leave it."""

    @property
    def sums(self) -> list[Tensor]:
        """Nothing."""
        return []

    def compute(self) -> dict[str, float]:
        """Return no metric."""
        return {}
