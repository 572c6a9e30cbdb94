"""The steps of products of two tensors; see `engine.graph.contracting`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.steps import Demand, Known, along, seen_by, settled
from winnow.engine.graph.weights import Flags, Values, Weights


@dataclass(frozen=True, eq=False)
class Factor:
    """A factor by the places of its axes in the space of all axes: those of the result, then the summed ones."""

    carrier: Carrier
    places: tuple[int | None, ...]

    def spread(self, array: Any, count: int) -> Any:
        """Return an array over the factor's axes as one over the space of all axes; None stands for length 1."""
        own = [axis for axis, place in enumerate(self.places) if place is not None]
        dropped = tuple(axis for axis, place in enumerate(self.places) if place is None)
        order = sorted(own, key=lambda axis: self.places[axis] or 0)
        moved = array.squeeze(dropped).transpose([_rank(axis, dropped) for axis in order])
        shape = [1] * count
        for axis in own:
            shape[self.places[axis] or 0] = array.shape[axis]
        return moved.reshape(shape)

    def back(self, array: Any) -> Any:
        """Return an array over the space of all axes as one over the factor's, of length 1 where it has none there."""
        own = [place for place in self.places if place is not None]
        kept = array.transpose([*sorted(own), *(axis for axis in range(array.ndim) if axis not in own)])
        kept = kept.reshape([array.shape[place] for place in sorted(own)])
        ranks = {place: rank for rank, place in enumerate(sorted(own))}
        moved = kept.transpose([ranks[place] for place in own])
        shape = [1 if place is None else array.shape[place] for place in self.places]
        return moved.reshape(shape)


def _rank(axis: int, dropped: tuple[int, ...]) -> int:
    return axis - sum(other < axis for other in dropped)


@dataclass(frozen=True, eq=False)
class Repeated:
    """Heads of keys and values, each for several heads of queries."""

    result: int
    source: int
    times: int
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Repeat the constants."""
        values = known[self.source]
        known[self.result] = np.repeat(values, self.times, -3) if self.shape[-3] > 1 else values

    def backward(self, demand: Demand) -> None:
        """Ask for a head where any of its queries' is needed."""
        need = demand.needs[self.result]
        if self.shape[-3] > 1:
            shape = (*need.shape[:-3], need.shape[-3] // self.times, self.times, *need.shape[-2:])
            need = np.asarray(need.reshape(shape).any(-3))
        demand.ask(self.source, need)


@dataclass(frozen=True, eq=False)
class WeightStep:
    """A product with a parameter of any number of axes; `weight`: its name, its axis of the results and of the inputs.

    The other axes, such as that of experts, are looked at as a whole: a unit is zero if it is zero in all experts.
    """

    result: int
    source: int
    weight: tuple[str, int, int | None]
    axis: int
    columns: Labels
    shape: tuple[int, ...]

    def mapped(self, classes: Labels) -> "WeightStep":
        """Return the same with every label replaced by its class."""
        return replace(self, columns=classes[self.columns])

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter zero for the rows that read nothing but zeros."""
        nonzero = weights.nonzero_over(*self.weight)
        inputs = (
            along(known[self.source], self.axis, nonzero.shape[1]) if self.weight[2] is not None else np.full(1, np.nan)
        )
        known.seen[self.result] = inputs
        known[self.result] = np.where((nonzero & (inputs != 0)).any(1), np.nan, 0.0).reshape(self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for the columns on which a needed row has a weight that is not zero."""
        need = demand.needs[self.result].ravel()
        asked = np.asarray(demand.weights.nonzero_over(*self.weight)[need].any(0))
        if self.weight[2] is None:
            demand.ask(self.source, np.array(asked.any()))
            return
        shape = [1] * demand.needs[self.source].ndim
        shape[self.axis] = len(asked)
        demand.ask(self.source, (asked & ~demand.ignored(self.result, self.columns)).reshape(shape))


@dataclass(frozen=True, eq=False)
class Contract:
    """A product of two tensors: zero where one factor is; with `pairs`, what meets a zero is not needed."""

    result: int
    factors: tuple[Factor, Factor]
    counts: tuple[int, int]
    pairs: bool
    shape: tuple[int, ...]

    def mapped(self, classes: Labels) -> "Contract":
        """Return the same with every label replaced by its class."""
        one, other = (
            Factor(replace(factor.carrier, labels=classes[factor.carrier.labels]), factor.places)
            for factor in self.factors
        )
        return replace(self, factors=(one, other))

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter zero where, at every summed place, one of the factors is zero."""
        out, count = self.counts
        one, other = (factor.spread(known[factor.carrier.index], count) for factor in self.factors)
        for place, values in enumerate((one, other)):
            known.seen[seen_by(self.result, place)] = values
        zero = ((one == 0) | (other == 0)).all(tuple(range(out, count)))
        known[self.result] = settled(np.where(zero, 0.0, np.nan), self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask each factor for its places in what is needed of the result."""
        out, count = self.counts
        need = demand.needs[self.result]
        need = need.reshape(need.shape + (1,) * (count - out))
        for factor in self.factors:
            own = {place for place in factor.places if place is not None}
            met = need & ~self._idle(demand, factor) if self.pairs else need
            wanted = met.any(tuple(axis for axis in range(count) if axis not in own), keepdims=True)
            demand.ask(factor.carrier.index, np.asarray(factor.back(wanted)))

    def _idle(self, demand: Demand, factor: Factor) -> Flags:
        """Return the summed places at which a factor is zero, and whose channels go."""
        out, count = self.counts
        zero = np.zeros((1,) * count, bool)
        for place in range(len(self.factors)):
            values: Values = demand.seen[seen_by(self.result, place)]
            zero = zero | (values == 0).all(tuple(range(out)), keepdims=True)
        return np.asarray(zero & ~demand.live[factor.spread(factor.carrier.labels, count)])
