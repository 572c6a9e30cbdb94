"""What a task is: a loss to train on, a meter to evaluate by, the best prediction that ignores the image.

Predictions are raw network outputs, (B, outputs, H, W) for dense tasks and (B, outputs) for the others. Losses and
metrics leave out what is unlabelled, and metrics are pooled over all labelled pixels of a split, never averaged over
batches. The names, units and directions of the metrics are those of `engine.specs.tasks.TASKS`.

A batch may be computed in parts, one after the other or on several devices. Then the loss of a part is its share of
the loss of the whole, so that losses and gradients of the parts add up to those of the whole: what a mean divides by is
counted over the whole batch first (`counts`), never part by part.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from winnow.data.sample import Field


class Meter(Protocol):
    """Gathers predictions over a split and computes the task's metrics once, at its end."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        ...

    def compute(self) -> dict[str, float]:
        """Return every metric of the task by name."""
        ...

    @property
    def sums(self) -> list[Tensor]:
        """All that it has gathered, on the CPU: adding those of another meter makes it one that saw both's images."""
        ...


@runtime_checkable
class RowMeter(Meter, Protocol):
    """A meter that keeps a row per image, beside what it adds up."""

    @property
    def rows(self) -> list[Tensor]:
        """What it has kept, (images, …) each, on the CPU."""
        ...

    def take(self, rows: list[Tensor]) -> None:
        """Replace what it has kept, in the order of `rows`: those of several meters make it one that saw all images."""
        ...


class Task(Protocol):
    """How one field of a data set is learned and evaluated."""

    @property
    def field(self) -> Field:
        """What is predicted."""
        ...

    @property
    def outputs(self) -> int:
        """How many numbers the network gives, per pixel or per image."""
        ...

    def counts(self, target: Tensor) -> Tensor:
        """Return what the loss divides by, (counts,) int64: those of several targets add up."""
        ...

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the mean loss over what is labelled, a scalar; 0 where nothing is.

        With the `counts` of a larger batch, return the share of its loss that these images have.
        """
        ...

    def meter(self) -> Meter:
        """Return an empty meter."""
        ...

    def constant(self, target: Tensor) -> Tensor:
        """Return the raw prediction (outputs,) that serves all images of `target` best, or nearly."""
        ...

    def mirror(self, target: Tensor) -> Tensor:
        """Return the dense targets (B, H, W, …) of the images mirrored left to right."""
        ...


def masked_mean(values: Tensor, known: Tensor, count: Tensor | None = None) -> Tensor:
    """Return the mean of `values` where `known`, 0 where nothing is; their sum over `count` where that is given."""
    return (values * known).sum() / (known.sum() if count is None else count).clamp(min=1)


def share(total: float, count: float) -> float:
    """Return total / count, NaN where nothing was counted: a task without labels has no metric."""
    return total / count if count else float("nan")


def counted(*masks: Tensor) -> Tensor:
    """Return how many entries of each mask are true, (masks,) int64."""
    return torch.stack([mask.sum() for mask in masks])
