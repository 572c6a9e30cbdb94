"""Every traced operation as a step: constants flow forwards through it, need flows backwards.

Forwards: a filter that is exactly zero makes a channel that is one number everywhere, whatever the input: its bias,
then what batch norm and the activation make of it. A layer that sees a constant zero does not use the channel. The
constants are those of evaluation mode, in an array of the shape of the tensor's labels, NaN where the channel varies
(or is not known to be constant).

Backwards: what is needed of a result says what is needed of the operands, element by element of the labels. So a filter
whose sum with the stream nobody looks at needs nothing, even where the stream's channel stays for others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.weights import Flags, Values, Weights


class Known(dict[int, Values]):
    """The constants of every carrier so far, by its number; `seen`: what the columns of every product held."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, Values] = {}


@dataclass(frozen=True, eq=False)
class Demand:
    """What is needed of every carrier, and all that decides about it.

    `needs` grows as the steps are taken backwards; `used` notes the columns that each product needs. A column that is
    seen as constant zero is ignored where its channel goes (`live` is false) and not where it stays: what makes it zero
    could be dropped then, if nothing else needs that. Products in `folded` ignore any other constant alike.
    """

    needs: list[Flags]
    weights: Weights
    seen: dict[int, Values]
    live: Flags
    used: dict[int, Flags]
    folded: frozenset[int] = frozenset()
    spoils: "list[Spoil]" = field(default_factory=list)  # those that ask for what was written over

    def ignored(self, result: int, columns: Labels) -> Flags:
        """Return the columns of a product that it need not see, for they hold a constant and their channels go."""
        seen = self.seen[result]
        return np.asarray((~np.isnan(seen) if result in self.folded else seen == 0) & ~self.live[columns])

    def ask(self, source: int, wanted: Flags) -> None:
        """Ask for elements of a carrier, given in any shape that broadcasts with that of its labels."""
        need = self.needs[source]
        if wanted.ndim > need.ndim:
            wanted = np.asarray(wanted.any(tuple(range(wanted.ndim - need.ndim))))
        for axis in range(-wanted.ndim, 0):
            if need.shape[axis] == 1 and wanted.shape[axis] > 1:
                wanted = np.asarray(wanted.any(axis, keepdims=True))
        need |= wanted


class Step(Protocol):
    """One operation."""

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter the constants of the result."""
        ...

    def backward(self, demand: Demand) -> None:
        """Ask the operands for what the result needs."""
        ...


def seen_by(result: int, place: int = 0) -> int:
    """Return what an operand of a step is noted under; a tensor may be that of many steps, seen by each otherwise."""
    return -1 - 2 * result - place


def settled(values: Values, shape: tuple[int, ...]) -> Values:
    """Return values in the given shape: where it has length 1, they must agree along that dimension to be known."""
    values = np.broadcast_to(values, np.broadcast_shapes(values.shape, shape))
    for axis, length in enumerate(shape):
        if length == 1 and values.shape[axis] > 1:
            first = values.take([0], axis)
            values = np.where((values == first).all(axis, keepdims=True), first, np.nan)
    return values


def along(known: Values, axis: int, count: int) -> Values:
    """Return the constants of `count` channels along `axis` (from the end)."""
    shape = [1] * known.ndim
    shape[axis] = count
    return settled(known, tuple(shape)).ravel()


@dataclass(frozen=True, eq=False)
class Unknown:
    """A tensor from outside: nothing is known of it."""

    result: int
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter NaN."""
        known[self.result] = np.full(self.shape, np.nan)

    def backward(self, demand: Demand) -> None:
        """Ask for nothing: it has no operands."""


@dataclass(frozen=True, eq=False)
class Zero:
    """A tensor of zeros that stands for what a layer made."""

    result: int
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter zeros."""
        known[self.result] = np.zeros(self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for nothing: its operand tells the shape alone."""


@dataclass(frozen=True, eq=False)
class Named:
    """A parameter or buffer that the forward pass uses by itself."""

    result: int
    name: str
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter its values now."""
        known[self.result] = settled(weights.values(self.name), self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for nothing: it has no operands."""


@dataclass(frozen=True, eq=False)
class Move:
    """Elements that change places; index −1 stands for the number that pads."""

    result: int
    sources: tuple[int, ...]
    index: Labels
    fill: float
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Take the constants to their new places."""
        entries = np.concatenate([*(known[source].ravel() for source in self.sources), [self.fill]])
        known[self.result] = settled(entries[self.index], self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for the elements that moved to where something is needed."""
        index = self.index[np.broadcast_to(demand.needs[self.result], self.index.shape)]
        sizes = [demand.needs[source].size for source in self.sources]
        wanted = np.zeros(sum(sizes), bool)
        wanted[index[index >= 0]] = True
        for source, part in zip(self.sources, np.split(wanted, np.cumsum(sizes)[:-1]), strict=True):
            demand.ask(source, part.reshape(demand.needs[source].shape))


@dataclass(frozen=True, eq=False)
class Keep:
    """An operation over space, such as pooling, that leaves constants what they are, or only those in `kept`."""

    result: int
    source: int
    through: tuple[int, ...]
    shape: tuple[int, ...]
    kept: float | None = None

    def forward(self, known: Known, weights: Weights) -> None:
        """Pass the constants on; `through` is the shape before dimensions of length 1 come or go."""
        values = settled(known[self.source], self.through).reshape(self.shape)
        known[self.result] = values if self.kept is None else np.where(values == self.kept, values, np.nan)

    def backward(self, demand: Demand) -> None:
        """Ask for the same channels."""
        demand.ask(self.source, demand.needs[self.result].reshape(self.through))


@dataclass(frozen=True, eq=False)
class Pointwise:
    """The same function of every element, computed on the constants themselves; a factor 0 absorbs the unknown."""

    result: int
    sources: tuple[int, ...]
    function: Callable[[Sequence[Tensor]], Tensor]
    absorbs: bool
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Evaluate the function."""
        inputs = [known[source] for source in self.sources]
        values = self.function([torch.tensor(entry) for entry in inputs]).double().numpy()
        unknown = np.zeros(values.shape, bool)
        zero = np.zeros(values.shape, bool)
        for entry in inputs:
            unknown |= np.isnan(entry)
            zero |= entry == 0
        values = np.where(unknown, np.nan, values)
        known[self.result] = settled(np.where(zero, 0.0, values) if self.absorbs else values, self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for the same elements of every operand."""
        for source in self.sources:
            demand.ask(source, demand.needs[self.result])


@dataclass(frozen=True, eq=False)
class Spoil:
    """Tensors whose memory an operation wrote to: nothing is known of them any more, and to need them needs it all."""

    carriers: tuple[int, ...]
    results: tuple[int, ...]
    place: str

    def forward(self, known: Known, weights: Weights) -> None:
        """Forget them."""
        for carrier in self.carriers:
            if carrier in known:
                known[carrier] = np.full_like(known[carrier], np.nan)

    def backward(self, demand: Demand) -> None:
        """Ask for the whole result if what now stands in the memory is looked at."""
        if any(demand.needs[carrier].any() for carrier in self.carriers):
            demand.spoils.append(self)
            for result in self.results:
                demand.needs[result][...] = True


@dataclass(frozen=True, eq=False)
class Opaque:
    """An operation whose constants are not followed: element by element, or (`mixes`) of everything on everything."""

    result: int
    sources: tuple[int, ...]
    mixes: bool
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter NaN."""
        known[self.result] = np.full(self.shape, np.nan)

    def backward(self, demand: Demand) -> None:
        """Ask for the same elements, or for all if any is needed."""
        need = demand.needs[self.result]
        for source in self.sources:
            demand.ask(source, np.array(need.any()) if self.mixes else need)


@dataclass(frozen=True, eq=False)
class ChosenStep:
    """What a result depends on besides the elements that it is made of, such as a computed index; all of it."""

    result: int
    sources: tuple[int, ...]
    forgets: bool = True

    def forward(self, known: Known, weights: Weights) -> None:
        """Forget what is known of the result, if elsewhere other elements are chosen."""
        if self.forgets:
            known[self.result] = np.full_like(known[self.result], np.nan)

    def backward(self, demand: Demand) -> None:
        """Ask for all of the sources if anything of the result is needed."""
        for source in self.sources:
            demand.ask(source, np.array(demand.needs[self.result].any()))


@dataclass(frozen=True, eq=False)
class Halved:
    """A gated unit: every result is made of the same place in both halves of its source along `axis`."""

    result: int
    source: int
    axis: int | None
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter NaN."""
        known[self.result] = np.full(self.shape, np.nan)

    def backward(self, demand: Demand) -> None:
        """Ask for both halves."""
        need = demand.needs[self.result]
        demand.ask(self.source, need if self.axis is None else np.concatenate([need, need], self.axis))
