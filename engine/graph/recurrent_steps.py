"""The steps of recurrent layers; see `engine.graph.recurrent`."""

from dataclasses import dataclass, replace

import numpy as np

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.steps import Demand, Known, along
from winnow.engine.graph.weights import Flags, Values, Weights

INPUTS = 2**40  # what a layer saw in its inputs is entered under this and the number of its result


@dataclass(frozen=True)
class RecurrentLevel:
    """The parameters of one level and direction by their names: W_ih, W_hh, and the biases if there are any.

    `places` is how often one image uses each entry of W_ih and of W_hh: once a step of its sequence.
    """

    weight_ih: str
    weight_hh: str
    biases: tuple[str, ...]
    places: float


@dataclass(frozen=True, eq=False)
class Wires:
    """What a recurrent layer takes and gives, by numbers of tensors, with the channels of its input and its units."""

    source: int
    results: tuple[int, ...]
    states: tuple[int, ...]
    inputs: Labels
    units: Labels
    gates: int
    candidate: int

    def mapped(self, classes: Labels) -> "Wires":
        """Return the same with every label replaced by its class."""
        return replace(self, inputs=classes[self.inputs], units=classes[self.units])

    def starts_at_zero(self, known: Known) -> Flags:
        """Return the units whose states start at zero, (units,)."""
        found = np.ones(len(self.units), bool)
        for state in self.states:
            found &= along(known[state], -1, len(self.units)) == 0
        return found

    def silent(self, level: RecurrentLevel, weights: Weights, idle: Flags) -> Flags:
        """Return the units whose candidate is zero; units in `idle` start at zero: (units,)."""
        count = len(self.units)
        rows = slice(self.candidate * count, (self.candidate + 1) * count)
        zero = idle.copy()
        for bias in level.biases:
            zero &= weights.values(bias)[rows] == 0
        zero &= ~weights.any_nonzero(level.weight_ih)[rows].any(1)
        return np.asarray(zero & ~weights.any_nonzero(level.weight_hh)[rows].any(1))

    def rows(self, matrix: Flags, needed: Flags) -> Flags:
        """Return the columns on which a gate of a needed unit has a weight that is not zero."""
        return np.asarray(matrix[np.tile(needed, self.gates)].any(0))


@dataclass(frozen=True, eq=False)
class CellStep:
    """One step of a loop: h' = cell(x, h)."""

    wires: Wires
    level: RecurrentLevel

    @property
    def levels(self) -> tuple[RecurrentLevel, ...]:
        """The one level of a cell."""
        return (self.level,)

    def mapped(self, classes: Labels) -> "CellStep":
        """Return the same with every label replaced by its class."""
        return replace(self, wires=self.wires.mapped(classes))

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter zero for the units that stay at zero."""
        wires, first = self.wires, self.wires.results[0]
        known.seen[INPUTS + first] = along(known[wires.source], -1, len(wires.inputs))
        zero = wires.silent(self.level, weights, wires.starts_at_zero(known))
        values = np.where(zero, 0.0, np.nan)
        for result in wires.results:
            known[result] = values.reshape(1, -1) if len(known[wires.source].shape) > 1 else values
        known.seen[first] = values

    def backward(self, demand: Demand) -> None:
        """Ask for the inputs and the units that a needed unit reads; a unit that is needed needs its own past."""
        wires, first = self.wires, self.wires.results[0]
        needed = np.zeros(len(wires.units), bool)
        for result in wires.results:
            needed |= demand.needs[result].reshape(-1, len(wires.units)).any(0)
        columns = wires.rows(demand.weights.any_nonzero(self.level.weight_ih), needed)
        _ask_last(demand, wires.source, columns & ~_ignored(demand, INPUTS + first, wires.inputs))
        past = wires.rows(demand.weights.any_nonzero(self.level.weight_hh), needed)
        past = (past & ~_ignored(demand, first, wires.units)) | needed
        for state in wires.states:
            _ask_last(demand, state, past)


@dataclass(frozen=True, eq=False)
class RecurrentStep:
    """A recurrent layer over a whole sequence: levels one after the other, in one direction or two."""

    wires: Wires
    levels: tuple[RecurrentLevel, ...]
    directions: int

    def mapped(self, classes: Labels) -> "RecurrentStep":
        """Return the same with every label replaced by its class."""
        return replace(self, wires=self.wires.mapped(classes))

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter zero for the units that are zero at every level, as states, and at the last one, as output."""
        wires, count = self.wires, len(self.wires.units)
        known.seen[INPUTS + wires.results[0]] = along(known[wires.source], -1, len(wires.inputs))
        idle = wires.starts_at_zero(known)
        silent = [wires.silent(level, weights, idle) for level in self.levels]
        last = np.concatenate(silent[-self.directions :])
        every = np.logical_and.reduce(silent)
        for place, result in enumerate(wires.results):
            values = np.where(last if place == 0 else every, 0.0, np.nan)
            known[result] = values.reshape([1] * (len(self._shape(known, place)) - 1) + [-1])
        known.seen[wires.results[0]] = np.where(np.stack(silent), 0.0, np.nan).reshape(len(self.levels), count)

    def _shape(self, known: Known, place: int) -> tuple[int, ...]:
        """Return the labels' shape of a result: the output has as many dimensions as the input, a state three."""
        return known[self.wires.source].shape if place == 0 else (1, 1, 1)

    def backward(self, demand: Demand) -> None:
        """Ask for the inputs of all units that are needed at the first level; all levels have the same units."""
        wires, count = self.wires, len(self.wires.units)
        states = np.zeros(count, bool)
        for result in wires.results[1:]:
            states |= demand.needs[result].reshape(-1, count).any(0)
        above = np.asarray(demand.needs[wires.results[0]].reshape(-1, self.directions, count).any(0))
        needed = [np.zeros(count, bool)] * len(self.levels)
        for first in range(len(self.levels) - self.directions, -1, -self.directions):
            asked = np.zeros(len(wires.inputs) if first == 0 else self.directions * count, bool)
            for way in range(self.directions):
                needed[first + way] = self._settled(demand, first + way, above[way] | states)
                matrix = demand.weights.any_nonzero(self.levels[first + way].weight_ih)
                asked |= wires.rows(matrix, needed[first + way])
            above = asked.reshape(self.directions, count) if first else above
            if first:
                silent = np.stack([self._silent(demand, first - self.directions + w) for w in range(self.directions)])
                above = above & ~silent
        _ask_last(demand, wires.source, asked & ~_ignored(demand, INPUTS + wires.results[0], wires.inputs))
        every = np.logical_or.reduce(needed)
        demand.ask(wires.results[0], _last(demand, wires.results[0], np.tile(every, self.directions)))
        for state in wires.states:
            _ask_last(demand, state, every)

    def _settled(self, demand: Demand, place: int, needed: Flags) -> Flags:
        """Return the needed units of a level, with those that they read from the step before."""
        matrix = demand.weights.any_nonzero(self.levels[place].weight_hh)
        readable = ~self._silent(demand, place)
        while (found := needed | (self.wires.rows(matrix, needed) & readable)).sum() > needed.sum():
            needed = found
        return needed

    def _silent(self, demand: Demand, place: int) -> Flags:
        """Return the units of a level that are constantly zero, and whose channels go."""
        zero: Values = demand.seen[self.wires.results[0]][place]
        return np.asarray((zero == 0) & ~demand.live[self.wires.units])


def _ignored(demand: Demand, key: int, channels: Labels) -> Flags:
    """Return the columns that hold a constant zero and whose channels go."""
    return np.asarray((demand.seen[key] == 0).ravel() & ~demand.live[channels])


def _last(demand: Demand, carrier: int, wanted: Flags) -> Flags:
    shape = [1] * demand.needs[carrier].ndim
    shape[-1] = -1
    return wanted.reshape(shape)


def _ask_last(demand: Demand, carrier: int, wanted: Flags) -> None:
    """Ask a tensor for channels along its last dimension."""
    demand.ask(carrier, _last(demand, carrier, wanted))
