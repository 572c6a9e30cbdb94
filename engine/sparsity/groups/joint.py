"""Several banks that share no weight, as one vector of groups: what is done per group is done for all at once.

On a GPU, where each operation costs a launch, this is most of the price of a proximal step. Nothing here waits for the
device, so that a step can be captured in a CUDA graph.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from winnow.engine.sparsity.groups.bank import Bank, WeightRule


class Joint:
    """The banks `parts`, their channels one after the other."""

    def __init__(self, banks: Sequence[Bank]) -> None:
        self.parts = list(banks)
        self._lengths = [bank.channels for bank in self.parts]
        self._weights: dict[WeightRule, Tensor] = {}
        device, lengths = self.parts[0].present.device, torch.tensor(self._lengths)
        owners = torch.arange(len(banks)).repeat_interleave(lengths)
        within = torch.arange(len(owners)) - (lengths.cumsum(0) - lengths)[owners]
        places = torch.full((len(banks), max(self._lengths)), len(owners))  # (banks, most channels); beyond: a zero
        places[owners, within] = torch.arange(len(owners))
        floors = torch.tensor([bank.floor for bank in self.parts])
        self._owners, self._places = owners.to(device), places.to(device)
        self._floors, self._first = floors.to(device), (within < floors[owners]).to(device)
        self._has_floor = bool(floors.any())
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
        if rule not in self._weights:
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

    def norms(self) -> Tensor:
        """Return ‖w_g‖₂ for every channel: (channels,)."""
        return torch.cat([bank.norms() for bank in self.parts])

    def scale_(self, factors: Tensor) -> None:
        """Multiply the weights of each group by its factor, in place."""
        for bank, own in zip(self.parts, self.split(factors), strict=True):
            bank.scale_(own)

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
            few = (self.rows(shrunk) != 0).sum(1) < self._floors
            if few.device.type != "cpu" or bool(few.any()):
                shrunk = torch.where(self.over(few) & self._largest(norms), norms, shrunk)
        if self._radii is not None:
            whole = self.rows(shrunk).norm(dim=1)
            factors = self._radii / whole.masked_fill(whole == 0, 1)
            shrunk = shrunk * self.over(torch.where(self._radii.isnan(), 1.0, factors))
        return shrunk

    def _largest(self, norms: Tensor) -> Tensor:
        """Mark as many of the largest groups of each bank as its floor says: (channels,)."""
        order = norms.argsort(descending=True, stable=True)
        order = order[self._owners[order].argsort(stable=True)]  # bank after bank, in each by falling norm
        return torch.zeros_like(self._first).scatter_(0, order, self._first)
