"""Several banks that share no weight, as one vector of groups: what is done per group is done for all at once.

On a GPU, where each operation costs a launch and the Python in front of it, this is most of the price of a proximal
step: views are looked up once, and what can be one call for all parameters is. Nothing here waits for the device, so
that a step can be captured in a CUDA graph.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from winnow.engine.sparsity.groups.axis import Axis
from winnow.engine.sparsity.groups.bank import Bank, WeightRule


class Joint:
    """The banks `parts`, their channels one after the other, with the members that they have when it is made."""

    def __init__(self, banks: Sequence[Bank]) -> None:
        self.parts = list(banks)
        self._slices = _Slices([axis for bank in self.parts for axis in bank.members])
        self._counts = [len(bank.members) for bank in self.parts]
        self._lengths = [bank.channels for bank in self.parts]
        self._weights: dict[WeightRule, Tensor] = {}
        self._factors: list[float] = []  # of the banks when the weights were found
        device, lengths = self.parts[0].present.device, torch.tensor(self._lengths)
        owners = torch.arange(len(banks)).repeat_interleave(lengths)
        within = torch.arange(len(owners)) - (lengths.cumsum(0) - lengths)[owners]
        places = torch.full((len(banks), max(self._lengths)), len(owners))  # (banks, most channels); beyond: a zero
        places[owners, within] = torch.arange(len(owners))
        floors = torch.tensor([bank.floor for bank in self.parts])
        self._owners, self._places = owners.to(device), places.to(device)
        self._floors, self._first = floors.to(device), (within < floors[owners]).to(device)
        self._has_floor = bool(floors.any())
        partly = any(bank.count < bank.channels for bank in self.parts)
        absent = torch.cat([~bank.present for bank in self.parts])
        self._absent = absent if partly else None  # the channels that are no groups
        radii = [bank.radius for bank in self.parts]
        self._radii: Tensor | None = None
        if any(radius is not None for radius in radii):
            found = torch.tensor([torch.nan if radius is None else radius for radius in radii])
            self._radii = found.to(device, self.parts[0].kind_of_vectors)

    @cached_property
    def size(self) -> Tensor:
        """The number of weights of each group, (channels,)."""
        return self.over(torch.tensor([float(bank.size) for bank in self.parts], dtype=self.parts[0].kind_of_vectors))

    def weights(self, rule: WeightRule) -> Tensor:
        """Return c_g, 0 for channels that are no groups: (channels,)."""
        factors = [bank.factor for bank in self.parts]
        if rule not in self._weights or factors != self._factors:
            self._weights = self._weights if factors == self._factors else {}
            self._factors = factors
            self._weights[rule] = torch.cat([bank.weights(rule) for bank in self.parts])
        return self._weights[rule]

    def split(self, values: Tensor) -> list[Tensor]:
        """Return the parts of a vector that belong to each bank."""
        return list(torch.split(values, self._lengths))

    def over(self, values: Tensor) -> Tensor:
        """Return one number per bank for each of its channels: (channels,)."""
        return values.to(self._owners.device)[self._owners]

    def rows(self, values: Tensor) -> Tensor:
        """Return a vector with a row for each bank, zeros behind the shorter ones: (banks, most channels)."""
        return torch.cat([values, values.new_zeros(1)])[self._places]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the groups lie in, one per member of each bank."""
        return [axis.parameter for axis in self._slices.axes]

    def sums(self, tensors: Sequence[Tensor]) -> Tensor:
        """Sum tensors of the parameters' shapes over each group: (channels,)."""
        return self._over_members(self._slices.sums(tensors))

    def norms(self) -> Tensor:
        """Return ‖w_g‖₂ for every channel: (channels,)."""
        if max(self._counts) == 1:
            return torch.cat(self._slices.norms())
        if self._on_cpu:
            return torch.cat([bank.norms() for bank in self.parts])
        return self._over_members([norms.square() for norms in self._slices.norms()]).sqrt()

    def scale_(self, factors: Tensor) -> None:
        """Multiply the weights of each group by its factor, in place."""
        torch._foreach_mul_(self._slices.views(), self._slices.spread(self._each(factors)))

    def move_(self, lengths: Tensor, moments: Sequence[Tensor]) -> None:
        """Subtract from the weights of each group its length times tensors of the parameters' shapes, in place."""
        self._slices.move_(self._each(lengths), moments)

    def soften_(self, level: Tensor) -> None:
        """Move every entry towards zero by its channel's level, in place; the largest groups of a floor are left."""
        level = level.expand(len(self._owners))
        if self._has_floor:
            level = level.masked_fill(self._largest(self.norms()), 0.0)
        for bank, own in zip(self.parts, self.split(level), strict=True):
            bank.soften_(own, spare=False)

    @property
    def keeps_norm(self) -> bool:
        """Whether any of the banks keeps its norm."""
        return self._radii is not None

    def kept(self, norms: Tensor, shrunk: Tensor) -> Tensor:
        """Return what the norms become, `shrunk` but for what must be kept: floors and radii."""
        if self._has_floor:
            living = shrunk if self._absent is None else shrunk.masked_fill(self._absent, 0.0)
            few = (self.rows(living) != 0).sum(1) < self._floors
            if few.device.type != "cpu" or bool(few.any()):
                shrunk = torch.where(self.over(few) & self._largest(norms), norms, shrunk)
        if self._radii is not None:
            whole = self.rows(shrunk).norm(dim=1)
            factors = self._radii / whole.masked_fill(whole == 0, 1)
            shrunk = shrunk * self.over(torch.where(self._radii.isnan(), 1.0, factors))
        return shrunk

    @property
    def _on_cpu(self) -> bool:
        return self._owners.device.type == "cpu"

    def _each(self, values: Tensor) -> list[Tensor]:
        """Return for each member the part of a vector (channels,) that belongs to its bank."""
        parts = zip(torch.split(values, self._lengths), self._counts, strict=True)
        return [part for part, count in parts for _ in range(count)]

    def _over_members(self, values: list[Tensor]) -> Tensor:
        """Sum one vector (channels of its bank,) per member over the members: (channels,)."""
        if max(self._counts) == 1:
            return torch.cat(values)
        remaining = iter(values)
        by_bank = [[next(remaining) for _ in range(count)] for count in self._counts]
        nothing = self.split(torch.zeros_like(self._first, dtype=values[0].dtype))
        total = torch.cat([own[0] for own in by_bank])
        for number in range(1, max(self._counts)):
            pairs = zip(by_bank, nothing, strict=True)
            total = total + torch.cat([own[number] if number < len(own) else zero for own, zero in pairs])
        return total

    def _largest(self, norms: Tensor) -> Tensor:
        """Mark as many of the largest groups of each bank as its floor says: (channels,)."""
        groups = norms if self._absent is None else norms.masked_fill(self._absent, -1.0)
        order = groups.argsort(descending=True, stable=True)
        order = order[self._owners[order].argsort(stable=True)]  # bank after bank, in each by falling norm
        return torch.zeros_like(self._first).scatter_(0, order, self._first)


class _Slices:
    """Members as views of their parameters, each looked up once and again where a parameter's memory is another."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = axes
        self._seen: list[object] = []
        self._views: list[Tensor] = []
        self._others: list[list[int]] = []
        self._shapes: list[list[int]] = []

    def views(self) -> list[Tensor]:
        """Return the slices of the parameters."""
        seen = [(axis.parameter.data_ptr(), axis.parameter.stride()) for axis in self.axes]
        if seen != self._seen:
            self._views = [axis.view(axis.parameter.detach()) for axis in self.axes]
            self._others = [axis.others(view) for axis, view in zip(self.axes, self._views, strict=True)]
            self._shapes = [axis.broadcast(view) for axis, view in zip(self.axes, self._views, strict=True)]
            self._seen = list(seen)
        return self._views

    def norms(self) -> list[Tensor]:
        """Return the norm of each member per channel."""
        members = zip(self.axes, self.views(), self._others, strict=True)
        return [axis.norms_of(view, others) for axis, view, others in members]

    def sums(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sum a tensor for each parameter over each channel of the member."""
        return [axis.sums(tensor) for axis, tensor in zip(self.axes, tensors, strict=True)]

    def spread(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Return a vector (channels,) per member in a shape that broadcasts against its view."""
        members = zip(self.axes, values, self._shapes, strict=True)
        return [axis.entries(own).view(shape) for axis, own, shape in members]

    def move_(self, lengths: Sequence[Tensor], moments: Sequence[Tensor]) -> None:
        """Subtract each length times the moment of its parameter."""
        if any(axis.parameter.dtype != moment.dtype for axis, moment in zip(self.axes, moments, strict=True)):
            for axis, length, moment in zip(self.axes, lengths, moments, strict=True):
                axis.move_(length, moment)
            return
        slopes = [axis.view(moment) for axis, moment in zip(self.axes, moments, strict=True)]
        torch._foreach_addcmul_(self.views(), self.spread(lengths), slopes, -1)
