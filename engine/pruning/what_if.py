"""What removing units would save, and the model without them, tried on one private copy: no removal is undone by hand.

The savings are those of the plan that `compact` makes: channels that die with the units (a branch of which nobody uses
the result any more) count, and one channel of every tensor that the program could not do without does not. Readers
that gather save more than is counted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import nn

from winnow.engine.graph.tables import savings
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.activations import Footprint
from winnow.engine.pruning.masking import moved_banks, restore
from winnow.engine.pruning.plan import planned
from winnow.engine.pruning.precision import private
from winnow.engine.pruning.units import Units

Share = Literal["group", "parameter", "mac", "latency", "memory"]


@dataclass(frozen=True)
class Shares:
    """What is saved of a model [%]: of its removable channels, its parameters, its multiply-accumulates."""

    group: float
    parameter: float
    mac: float

    def of(self, what: Share) -> float:
        """Return one of them by its name."""
        return float(getattr(self, what))


class WhatIf:
    """Tries sets of units on a copy of their model. `tasks` are the outputs to keep; None: all.

    Raises:
        ValueError: `tasks` names what the model does not return.

    """

    def __init__(self, units: Units, tasks: Sequence[str] | None = None) -> None:
        self.units, self.tasks = units, tasks
        self._model = units.graph.model
        self._twin = private(self._model)
        self._graph = replace(units.graph, model=self._twin)
        self._banks = moved_banks(units.groups, self._model, self._twin)
        self._gone = np.zeros(len(units), bool)
        self._known: dict[bytes, Shares] = {}
        self._peaks: dict[bytes, int] = {}

    def without(self, gone: Flags) -> nn.Module:
        """Return the copy with the units marked (units,) at zero; the next call changes it."""
        if (self._gone & ~gone).any():
            restore(self._model, self._twin)
        alive = torch.from_numpy(~gone)
        for bank, mask in zip(self._banks, torch.split(alive, [bank.channels for bank in self._banks]), strict=True):
            bank.scale_(mask.to(bank.parameters[0]))
        self._gone = gone.copy()
        return self._twin

    def shares(self, gone: Flags) -> Shares:
        """Return what removing the units marked (units,) saves."""
        key = np.packbits(gone).tobytes()
        if key not in self._known:
            self.without(gone)
            liveness = planned(self._graph, self.tasks, "never").liveness
            total = savings(liveness).iloc[-1]
            self._known[key] = Shares(
                group=100 * float((~liveness.kept[self.units.channels]).mean()),
                parameter=100 * float(total["removable_parameters"] / total["parameters"]),
                mac=100 * float(total["removable_macs"] / total["macs"]) if total["macs"] else 0.0,
            )
        return self._known[key]

    def memory(self, gone: Flags) -> float:
        """Return the share of the peak of activations [%] that removing the units marked (units,) saves.

        Raises:
            ValueError: only some tasks are kept, or the network does not run on shapes alone.

        """
        if self.tasks is not None:
            raise ValueError(
                f"`tasks` must be left out with a budget of memory, got {', '.join(self.tasks)}. Remove the other "
                "tasks first, or take a share of the MACs."
            )
        return 100 * (1 - self._peak(gone) / self._peak(np.zeros_like(gone)))

    def _peak(self, gone: Flags) -> int:
        key = np.packbits(gone).tobytes()
        if key not in self._peaks:
            self.without(gone)
            self._peaks[key] = self._footprint.bytes(planned(self._graph, None, "never"))
        return self._peaks[key]

    @cached_property
    def _footprint(self) -> Footprint:
        return Footprint(self.units.graph)
