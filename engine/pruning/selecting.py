"""Layers that read only a part of their input's channels, and a channel of ones behind them if they need it.

A reader on a stream that others use too gathers the channels that it uses, and has a smaller kernel. Constants that it
saw in channels that went come in through the channel of ones: its column holds their kernels, summed. At a border that
is padded with zeros this is exact, where a bias would not be.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn


def picked(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """Return the channels `index` of the axis (from the end), in the memory format that x has.

    Where channels lie innermost (channels last), torch picks along a strided axis six times slower than along the
    columns of a matrix, and loses the format.
    """
    if axis == -1 or x.stride(axis) != 1:
        return x.index_select(axis, index)
    inner = x.movedim(axis, -1)
    rows = inner.reshape(-1, inner.shape[-1]).index_select(1, index)
    return rows.view(*inner.shape[:-1], len(index)).movedim(-1, axis)


class Selecting(nn.Module):
    """What is added to a layer: `index` (entries of the channel axis, None for all), and whether ones are appended.

    `axis` is the channel axis, from the end.
    """

    index: Tensor | None
    ones: bool
    axis: int

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer makes of the channels that it reads."""
        if self.index is not None:
            x = picked(x, self.index, self.axis)
        if self.ones:
            x = torch.cat([x, torch.ones_like(x.narrow(self.axis, 0, 1))], self.axis)
        return cast(Tensor, super().forward(x))


class SelectingConv1d(Selecting, nn.Conv1d):
    """A convolution of some channels of a sequence."""


class SelectingConv2d(Selecting, nn.Conv2d):
    """A convolution of some channels of an image."""


class SelectingConv3d(Selecting, nn.Conv3d):
    """A convolution of some channels of a volume."""


class SelectingLinear(Selecting, nn.Linear):
    """A linear layer on some columns."""


SELECTING: dict[type[nn.Module], type[Selecting]] = {
    nn.Conv1d: SelectingConv1d,
    nn.Conv2d: SelectingConv2d,
    nn.Conv3d: SelectingConv3d,
    nn.Linear: SelectingLinear,
}


class Gather(nn.Module):
    """The channels that several readers of one stream use."""

    index: Tensor

    def __init__(self, index: Tensor, axis: int) -> None:
        super().__init__()
        self.register_buffer("index", index)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels along the axis."""
        return picked(x, self.index, self.axis)


def select(layer: nn.Module, index: Tensor | None, ones: bool, axis: int) -> None:
    """Make a layer read the entries of `index` and, behind them, ones; its weight must have these columns already."""
    selecting: Any = layer
    selecting.__class__ = SELECTING[type(layer)]
    selecting.register_buffer("index", index)
    selecting.ones, selecting.axis = ones, axis
