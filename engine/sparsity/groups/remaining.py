"""What a removal leaves of a bank: the same groups, in smaller parameters, and the channels that they were before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from winnow.engine.graph.partition import Labels
from winnow.engine.sparsity.groups.axis import Axis
from winnow.engine.sparsity.groups.bank import Bank


@dataclass(frozen=True, eq=False)
class Remaining:
    """The bank that is left, the number of the bank that it was, and which channels of that are left: (channels,)."""

    bank: Bank
    place: int
    channels: Tensor

    def since(self, before: "Remaining") -> "Remaining":
        """Return what two removals, `before` and then this one, leave of a bank."""
        return Remaining(self.bank, before.place, before.channels[self.channels])


@dataclass(frozen=True, eq=False)
class Smaller:
    """A parameter after a removal, and the entries that stayed, by axis; all of an axis that is not listed."""

    parameter: nn.Parameter
    stays: Mapping[int, Labels]


def remaining(place: int, bank: Bank, smaller: Mapping[nn.Parameter, Smaller]) -> Remaining | None:
    """Return what is left of the bank with this number, None where no channel is.

    Raises:
        ValueError: members that do not keep the same channels, so that no group is whole.

    """
    found = [_left(axis, smaller[axis.parameter]) for axis in bank.all_members]
    first = found[0][1]
    if any(not np.array_equal(first, channels) for _, channels in found):
        raise ValueError(f"`bank` must lose the same channels in every member, got different ones in {bank.layer}.")
    members = tuple(axis for axis, _ in found if axis is not None)
    if not len(first):
        return None
    channels = torch.from_numpy(first)
    return Remaining(bank.left(members, channels), place, channels.to(bank.present.device))


def _left(axis: Axis, smaller: Smaller) -> tuple[Axis | None, Labels]:
    """Return the member in the smaller parameter, and which of its channels are left."""
    if axis.blocks > 1:
        return _left_in_blocks(axis, smaller)
    entries = smaller.stays.get(axis.axis, np.arange(axis.parameter.shape[axis.axis]))
    if axis.whole:
        return replace(axis, parameter=smaller.parameter, repeat=len(entries)), np.zeros(1, np.int64)
    end = axis.start + axis.channels * axis.repeat
    inside = entries[(entries >= axis.start) & (entries < end)]
    channels = np.unique((inside - axis.start) // axis.repeat)
    if len(channels) * axis.repeat != len(inside):
        raise ValueError("`smaller` must keep or lose a channel's entries together, got a part of them.")
    if not len(channels):
        return None, channels
    start = int((entries < axis.start).sum())
    windowed = axis.length is not None or axis.start > 0 or axis.repeat > 1
    length = len(channels) if windowed else None
    return Axis(smaller.parameter, axis.axis, 1, start, length, axis.repeat), channels


def _left_in_blocks(axis: Axis, smaller: Smaller) -> tuple[Axis, Labels]:
    """Of a grouped convolution whole blocks stay, or the same columns in each."""
    rows, columns = axis.parameter.shape[:2]
    blocks = np.unique(smaller.stays.get(0, np.arange(rows)) // (rows // axis.blocks))
    stays = smaller.stays.get(1, np.arange(columns))
    channels = (blocks[:, None] * columns + stays).ravel()
    if len(blocks) == 1:
        return Axis(smaller.parameter, axis.axis), channels
    return Axis(smaller.parameter, axis.axis, len(blocks)), channels
