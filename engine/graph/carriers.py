"""A tensor of the traced pass and the channel that each of its elements belongs to.

The labels stand in an array of as many dimensions as the tensor, of length 1 where they do not vary: (1, C, 1, 1) for
a feature map, (1, 1, 1, C) after a permutation to channels last, (1, C·H·W) after a flattening, each label H·W times.
So an operation that only moves elements needs no rule of its own: it is run on the labels (`engine.graph.movement`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.graph.partition import Labels


@dataclass(frozen=True, eq=False)
class Carrier:
    """One tensor: its number, the node that made it, its shape and labels; `bears` if a layer's channels reach it."""

    index: int
    node: str
    shape: tuple[int, ...]
    labels: Labels
    bears: bool
    storage: int

    def padded(self, dimensions: int) -> tuple[tuple[int, ...], Labels]:
        """Return shape and labels with leading ones, as broadcasting sees them."""
        missing = (1,) * (dimensions - len(self.shape))
        return missing + self.shape, self.labels.reshape(missing + self.labels.shape)


def only_along(axis: int, labels: Labels, dimensions: int) -> Labels:
    """Return a vector of labels as those of a tensor whose channels lie along `axis`."""
    shape = [1] * dimensions
    shape[axis] = len(labels)
    return labels.reshape(shape)


def squeezed(labels: Labels) -> Labels:
    """Return labels with length 1 where they do not vary."""
    for axis, length in enumerate(labels.shape):
        if length > 1 and (labels == (first := labels.take([0], axis))).all():
            labels = first
    return labels


def squeezed_tensor(ids: Tensor) -> NDArray[np.int64]:
    """Return the same for a tensor; dimensions that were only expanded cost nothing."""
    for axis in range(ids.dim()):
        if ids.shape[axis] > 1 and ids.stride(axis) == 0:
            ids = ids.narrow(axis, 0, 1)
    return squeezed(ids.numpy())


def numbered(labels: Labels, shape: tuple[int, ...], start: int) -> Tensor:
    """Return a tensor of `shape` that numbers the entries of `labels` from `start` on."""
    return torch.arange(start, start + labels.size).view(labels.shape).expand(shape)
