"""Banks: all groups of one structure, handled as vectors with one entry per channel.

Groups of the kinds input and output must not overlap, for their proximal step would have no closed form. Coupled
groups do: a weight W[o, i] inside the model belongs to the group of the channel it writes and to that of the channel it
reads. There the step takes one bank after the other (an incremental proximal step): each is a scaling, so a zero stays
exactly zero whatever the order.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from winnow.engine.graph.memory import sharing
from winnow.engine.sparsity.groups.axis import Axis, Group, wide_type

WeightRule = Literal["size", "none"]


class Bank:
    """All groups of one structure, such as the input channels of one layer.

    `present` (channels,) marks the channels that are groups, `count` of them; the others, where a caller left some
    out, carry no penalty. `size` is |g|, the same for all; after a removal it is still that of the dense network, whose
    other entries are zero, so that λ c_g and the metric mean what they meant. A parameter of which several slices are
    members is listed for each. What a proximal step must keep is part of the bank too: `floor` groups always live, and
    where `radius` is a number, the bank keeps that norm. `factor` multiplies c_g: a layer may have a λ of its own.

    Where `in_training` is set, frozen parameters (`requires_grad` False) are no members: a group is what can move, and
    so are its norm and its size. The flags are read at each call, so that a layer may be frozen and unfrozen at any
    time. A bank of which nothing can move keeps all its members, is not in training (`moves`), and must not be written.
    """

    floor: int = 0
    radius: float | None = None
    factor: float = 1.0
    in_training: bool = False

    def __init__(self, groups: Sequence[Group]) -> None:
        first = groups[0]
        self.layer, self.kind, self.all_members = first.layer, first.kind, first.members
        self.apart = first.apart
        self._sizes = tuple(axis.size for axis in first.members)
        self.channels = first.members[0].channels
        self._present = torch.zeros(self.channels, dtype=torch.bool)
        self._present[[group.channel for group in groups]] = True
        self.count = int(self._present.sum())

    def left(self, members: tuple[Axis, ...], channels: Tensor) -> "Bank":
        """Return what a removal leaves of the bank: its `channels`, which lie in other members now."""
        other = copy.copy(self)
        other.all_members, other.channels = members, len(channels)
        other._present = self.present[channels.to(self.present.device)]
        other.count = int(other._present.sum())
        other.floor = min(self.floor, other.count)
        return other

    @property
    def members(self) -> tuple[Axis, ...]:
        """The slices that the groups consist of; in training, those that can move."""
        if not self.in_training or all(axis.parameter.requires_grad for axis in self.all_members):
            return self.all_members
        return tuple(axis for axis in self.all_members if axis.parameter.requires_grad) or self.all_members

    @property
    def moves(self) -> bool:
        """Whether a step may write to the groups."""
        return not self.in_training or any(axis.parameter.requires_grad for axis in self.all_members)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of weights that each member adds to a group, in the dense network."""
        members = self.members
        if members is self.all_members:
            return self._sizes
        return tuple(size for axis, size in zip(self.all_members, self._sizes, strict=True) if axis in members)

    @property
    def size(self) -> int:
        """The number of weights of each group, |g|."""
        return sum(self.sizes)

    @property
    def present(self) -> Tensor:
        """Which channels are groups, (channels,), on the parameters' device."""
        device = self.all_members[0].parameter.device
        if self._present.device != device:
            self._present = self._present.to(device)
        return self._present

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the groups lie in, one per member."""
        return [axis.parameter for axis in self.members]

    @property
    def kind_of_vectors(self) -> torch.dtype:
        """The type of norms, thresholds and lengths: float32 for parameters of half precision, else theirs."""
        return wide_type(self.all_members[0].parameter.dtype)

    def weights(self, rule: WeightRule) -> Tensor:
        """Return c_g: √|g| ("size") or 1 ("none"), times `factor`; 0 for channels that are no groups: (channels,)."""
        return self.factor * (self.size**0.5 if rule == "size" else 1.0) * self.present.to(self.kind_of_vectors)

    @property
    def parts(self) -> "list[Bank]":
        """The banks of which this is made, as a `Joint` has several: itself."""
        return [self]

    def split(self, values: Tensor) -> list[Tensor]:
        """Return the parts of a vector that belong to each of `parts`."""
        return [values]

    def over(self, values: Tensor) -> Tensor:
        """Return one number per part, (parts,), for each of its channels: (channels,)."""
        return values.to(self.present.device).expand(self.channels)

    def rows(self, values: Tensor) -> Tensor:
        """Return a vector with a row for each part: (1, channels)."""
        return values[None]

    def sums(self, tensors: Sequence[Tensor]) -> Tensor:
        """Sum tensors of the parameters' shapes over each group: (channels,)."""
        return _total([axis.sums(tensor) for axis, tensor in zip(self.members, tensors, strict=True)])

    def norms(self) -> Tensor:
        """Return ‖w_g‖₂ for every channel: (channels,)."""
        members = self.members
        with torch.no_grad():
            if len(members) == 1:
                return members[0].norms()
            return _total([axis.squares() for axis in members]).sqrt()

    @torch.no_grad()
    def scale_(self, factors: Tensor) -> None:
        """Multiply the weights of each group by its factor, in place; a factor 0 makes exact zeros.

        `factors` is (channels,), or (members, channels) where each member has its own.
        """
        members = self.members
        for axis, own in zip(members, factors.expand(len(members), -1), strict=True):
            view, spread = axis.spread(own, axis.parameter)
            view.mul_(spread)

    def move_(self, lengths: Tensor, moments: Sequence[Tensor]) -> None:
        """Subtract from the weights of each group its length times tensors of the parameters' shapes, in place."""
        for axis, moment in zip(self.members, moments, strict=True):
            axis.move_(lengths, moment)

    @torch.no_grad()
    def soften_(self, level: Tensor, *, spare: bool = True) -> None:
        """Move every entry towards zero by its channel's level, in place; a level per member where it has two axes.

        With `spare`, the `floor` largest groups are left alone, or no entry of a layer might survive.
        """
        members = self.members
        levels = level.expand(len(members), self.channels)
        if self.floor and spare:
            levels = levels.index_fill(1, self._largest(self.norms()), 0.0)
        for axis, own in zip(members, levels, strict=True):
            view, spread = axis.spread(own, axis.parameter)
            view.copy_(softened(view, spread))

    @property
    def keeps_norm(self) -> bool:
        """Whether all groups together keep a norm."""
        return self.radius is not None

    def kept(self, norms: Tensor, shrunk: Tensor) -> Tensor:
        """Return what the norms become, `shrunk` but for what must be kept: the floor, and the radius."""
        if (spared := self.spared(norms, shrunk != 0)) is not None:
            shrunk = torch.where(spared, norms, shrunk)
        if self.radius is not None:
            whole = shrunk.norm()
            shrunk = shrunk * (self.radius / whole.masked_fill(whole == 0, 1))
        return shrunk

    def spared(self, norms: Tensor, alive: Tensor) -> Tensor | None:
        """Mark the groups that must not shrink, as too few would live, (channels,); None where the floor is met."""
        if self.count < self.channels:  # a channel that is no group does not count as one that lives
            alive = alive & self.present
        if not self.floor or (norms.device.type == "cpu" and int(alive.sum()) >= self.floor):
            return None
        largest = torch.zeros_like(alive).index_fill(0, self._largest(norms), True)
        return largest & (alive.sum() < self.floor)

    def _largest(self, norms: Tensor) -> Tensor:
        """Return the places of the `floor` largest groups."""
        groups = norms if self.count == self.channels else norms.masked_fill(~self.present, -1.0)
        return groups.topk(self.floor).indices


@dataclass(frozen=True)
class Kept:
    """What a proximal step must keep.

    `floor`: the share of each layer's groups that always live, at least one where it is positive; 0 lets layers die.
    `norms`: weights that keep the norm they have now, those of convolutions in front of a batch norm.

    Examples:
        >>> net = nn.Linear(4, 2)
        >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> optimizer = Proximal(sgd, input_groups(net), GroupLasso(10.0), Kept(floor=0.5))
        >>> net(torch.ones(1, 4)).square().sum().backward()
        >>> optimizer.step()
        >>> int((optimizer.norms[0] > 0).sum())  # half of the layer's groups
        2

    """

    floor: float = 0.0
    norms: Sequence[nn.Parameter] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= 1:
            raise ValueError(f"`floor` must be in [0, 1], got {self.floor}.")

    def mark(self, bank: Bank) -> None:
        """Tell a bank what of it must be kept."""
        floor = self.floor if not bank.apart else 0
        bank.floor = min(max(1, math.ceil(floor * bank.count)), bank.count) if floor else 0
        whole = len(bank.all_members) == 1 and bank.count == bank.channels
        if whole and any(bank.parameters[0] is kept for kept in self.norms):
            bank.radius = float(bank.norms().norm())


def softened(values: Tensor, level: Tensor) -> Tensor:
    """Return the soft threshold: sign(v) · max(0, |v| − level)."""
    return values.sign() * (values.abs() - level).clamp(min=0)


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
        for axis in bank.all_members:
            owners[id(axis.parameter)].append((bank, axis))
    if (clash := sharing([parts[0][1].parameter for parts in owners.values()])) is not None:
        first, other = (owners[id(parameter)][0][0].layer for parameter in clash)
        raise ValueError(
            f"`groups` must hold parameters of a memory of their own, got those of {first} and {other}, which are the "
            "same memory. Make them one parameter, or clone one of them."
        )
    for parts in owners.values():
        if len(parts) > 1 and (pair := _overlapping(parts)):
            raise ValueError(
                f"`groups` must hold each parameter along one axis only, got {pair[0]} and {pair[1]}, which overlap. "
                "Leave one of them out, or use `coupled_groups`."
            )


def _overlapping(parts: Sequence[tuple[Bank, Axis]]) -> tuple[str, str] | None:
    """Return two layers whose slices of one parameter overlap where they may not."""
    first, others = parts[0], parts[1:]
    if any(bank.kind != "coupled" for bank, _ in parts):
        crossed = [bank.layer for bank, axis in others if (axis.axis, axis.blocks) != (first[1].axis, first[1].blocks)]
        if crossed:
            return first[0].layer, crossed[0]
    taken: dict[int, list[str | None]] = {}
    for bank, axis in parts:
        places = taken.setdefault(axis.axis, [None] * axis.extent)
        for place in range(axis.start, axis.start + axis.channels * axis.repeat):
            if (owner := places[place]) is not None:
                return owner, bank.layer
            places[place] = bank.layer
    return None


def overlapping(found: Sequence[Bank]) -> bool:
    """Return whether a parameter lies in two groups, or only in part in any: no metric of one group fits it then."""
    members = [axis for bank in found for axis in bank.all_members]
    partly = any(axis.size * axis.channels < axis.parameter.numel() for axis in members)
    return partly or len({id(axis.parameter) for axis in members}) < len(members)
