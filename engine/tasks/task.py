"""What a task is: a loss to train on, a meter to judge by, the best prediction that ignores the image.

Predictions are raw network outputs, (B, outputs, H, W) for dense tasks and (B, outputs) for the others. Losses and
metrics leave out what is unlabelled, and metrics are pooled over all labelled pixels of a split, never averaged over
batches. The names, units and directions of the metrics stand in `engine.quantities`.
"""

from typing import Protocol

from torch import Tensor

from data.sample import Field


class Meter(Protocol):
    """Gathers predictions over a split and computes the task's metrics once, at its end."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        ...

    def compute(self) -> dict[str, float]:
        """Return every metric of the task by name."""
        ...


class Task(Protocol):
    """How one field of a data set is learned and judged."""

    @property
    def field(self) -> Field:
        """What is predicted."""
        ...

    @property
    def outputs(self) -> int:
        """How many numbers the network gives, per pixel or per image."""
        ...

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over what is labelled, a scalar; 0 where nothing is."""
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


def masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean of `values` where `known`, 0 where nothing is."""
    return (values * known).sum() / known.sum().clamp(min=1)
