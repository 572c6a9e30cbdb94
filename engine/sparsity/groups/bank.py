"""Banks: all groups of one structure, handled as vectors with one entry per channel.

Groups of the kinds input and output must not overlap, for their proximal step would have no closed form. Coupled
groups do: a weight W[o, i] inside the model belongs to the group of the channel it writes and to that of the channel it
reads. There the step takes one bank after the other (an incremental proximal step): each is a scaling, so a zero stays
exactly zero whatever the order.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from winnow.engine.sparsity.groups.axis import Axis, Group


class Bank:
    """All groups of one structure.

    `present` (channels,) marks the channels that are groups; the others, where a caller left some out, carry no
    penalty. `size` is |g|, the same for all; after a removal it is still that of the dense network, whose other entries
    are zero, so that λ c_g and the metric mean what they meant. A parameter of which several slices are members is
    listed for each. What a proximal step must keep stands here too: `floor` groups always live, and where `radius` is a
    number, the bank keeps that norm.
    """

    floor: int = 0
    radius: float | None = None

    def __init__(self, groups: Sequence[Group]) -> None:
        first = groups[0]
        self.layer, self.kind, self.members = first.layer, first.kind, first.members
        self.size = first.size
        self.channels = self.members[0].channels
        present = torch.zeros(self.channels, dtype=torch.bool)
        present[[group.channel for group in groups]] = True
        self.present = present.to(self.parameters[0].device)

    def left(self, members: tuple[Axis, ...], channels: Tensor) -> "Bank":
        """Return what a removal leaves of the bank: its `channels`, which lie in other members now."""
        other = copy.copy(self)
        other.members, other.channels = members, len(channels)
        other.present = self.present[channels.to(self.present.device)]
        other.floor = min(self.floor, int(other.present.sum()))
        return other

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the groups lie in, one per member."""
        return [axis.parameter for axis in self.members]

    def sums(self, tensors: Sequence[Tensor]) -> Tensor:
        """Sum tensors of the parameters' shapes over each group: (channels,)."""
        return _total([axis.sums(tensor) for axis, tensor in zip(self.members, tensors, strict=True)])

    def norms(self) -> Tensor:
        """Return ‖w_g‖₂ for every channel: (channels,)."""
        with torch.no_grad():
            return _total([axis.squares() for axis in self.members]).sqrt()

    @torch.no_grad()
    def scale_(self, factors: Tensor) -> None:
        """Multiply the weights of each group by its factor, in place; a factor 0 makes exact zeros.

        `factors` is (channels,), or (members, channels) where each member has its own.
        """
        for axis, own in zip(self.members, factors.expand(len(self.members), -1), strict=True):
            view, spread = axis.spread(own, axis.parameter)
            view.mul_(spread)


def _total(sums: list[Tensor]) -> Tensor:
    return torch.stack(sums).sum(0) if len(sums) > 1 else sums[0]


def banks(groups: Sequence[Group]) -> list[Bank]:
    """Gather groups of one structure into banks, in the order in which the structures first occur.

    Raises:
        ValueError: groups of kind input or output overlap (a parameter along two axes, say), or slices of coupled
            groups along one axis do.

    """
    gathered: dict[tuple[tuple[int, ...], ...], list[Group]] = {}
    known: dict[int, tuple[tuple[int, ...], ...]] = {}
    for group in groups:
        if (structure := known.get(id(group.members))) is None:
            structure = known[id(group.members)] = tuple(axis.structure for axis in group.members)
        gathered.setdefault(structure, []).append(group)
    found = [Bank(alike) for alike in gathered.values()]
    _refuse_overlap(found)
    return found


def _refuse_overlap(found: Sequence[Bank]) -> None:
    owners: dict[int, list[tuple[Bank, Axis]]] = defaultdict(list)
    for bank in found:
        for axis in bank.members:
            owners[id(axis.parameter)].append((bank, axis))
    for sharing in owners.values():
        if len(sharing) > 1 and (pair := _overlapping(sharing)):
            raise ValueError(
                "`groups` should touch each parameter along one axis only. "
                f"Found overlapping groups in {pair[0]} and {pair[1]}."
            )


def _overlapping(sharing: Sequence[tuple[Bank, Axis]]) -> tuple[str, str] | None:
    """Return two layers whose slices of one parameter overlap where they may not."""
    first, others = sharing[0], sharing[1:]
    if any(bank.kind != "coupled" for bank, _ in sharing):
        crossed = [bank.layer for bank, axis in others if (axis.axis, axis.blocks) != (first[1].axis, first[1].blocks)]
        if crossed:
            return first[0].layer, crossed[0]
    taken: dict[int, list[str | None]] = {}
    for bank, axis in sharing:
        places = taken.setdefault(axis.axis, [None] * axis.extent)
        for place in range(axis.start, axis.start + axis.channels * axis.repeat):
            if (owner := places[place]) is not None:
                return owner, bank.layer
            places[place] = bank.layer
    return None
