"""Constants flow forwards: which channels of each tensor hold one number everywhere, whatever the input.

A filter that is exactly zero makes a channel that is constant: its bias, then what batch norm and the activation make
of it. A reader that sees a constant zero does not use the channel. Every traced operation leaves one step; a step
returns an array of the shape of its result's labels, NaN where the channel varies (or is not known to be constant).
All constants are those of evaluation mode.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.channels.partition import Labels
from engine.channels.records import Depthwise, Product
from engine.channels.weights import Values, Weights


class Known(dict[int, Values]):
    """The constants of every carrier so far, by its number; `seen`: what the columns of every product held."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, Values] = {}


class Step(Protocol):
    """What one operation does to constants."""

    def run(self, known: Known, weights: Weights) -> None:
        """Enter the constants of the result."""
        ...


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
    """Nothing is known of the result."""

    result: int
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Enter NaN."""
        known[self.result] = np.full(self.shape, np.nan)


@dataclass(frozen=True, eq=False)
class Named:
    """A parameter or buffer that the forward pass uses by itself."""

    result: int
    name: str
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Enter its values now."""
        known[self.result] = settled(weights.values(self.name), self.shape)


@dataclass(frozen=True, eq=False)
class Move:
    """Elements that change places; index −1 stands for the number that pads."""

    result: int
    sources: tuple[int, ...]
    index: Labels
    fill: float
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Take the constants to their new places."""
        entries = np.concatenate([*(known[source].ravel() for source in self.sources), [self.fill]])
        known[self.result] = settled(entries[self.index], self.shape)


@dataclass(frozen=True, eq=False)
class Keep:
    """An operation over space, such as pooling, that leaves constants what they are, or only those in `kept`."""

    result: int
    source: int
    through: tuple[int, ...]
    shape: tuple[int, ...]
    kept: float | None = None

    def run(self, known: Known, weights: Weights) -> None:
        """Pass the constants on; `through` is the shape before dimensions of length 1 come or go."""
        values = settled(known[self.source], self.through).reshape(self.shape)
        known[self.result] = values if self.kept is None else np.where(values == self.kept, values, np.nan)


@dataclass(frozen=True, eq=False)
class Pointwise:
    """The same function of every element, computed on the constants themselves; a factor 0 absorbs the unknown."""

    result: int
    sources: tuple[int, ...]
    function: Callable[[Sequence[Tensor]], Tensor]
    absorbs: bool
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
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


@dataclass(frozen=True, eq=False)
class Spoil:
    """Tensors whose memory another operation wrote to: nothing is known of them any more."""

    carriers: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Forget them."""
        for carrier in self.carriers:
            if carrier in known:
                known[carrier] = np.full_like(known[carrier], np.nan)


@dataclass(frozen=True, eq=False)
class ProductStep:
    """Constants through a convolution or linear layer: a row that sees only constants gives one itself."""

    product: Product
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Enter bias + Σ W·constant for the rows that read nothing else."""
        product = self.product
        columns = len(product.columns)
        every = along(known[product.source], product.axis, columns * (1 if product.transposed else product.blocks))
        inputs = every if product.transposed else settled(every.reshape(product.blocks, -1), (1, columns)).ravel()
        known.seen[product.result] = inputs
        disturbing = np.isnan(inputs) | ((inputs != 0) & product.padded)
        varies = weights.nonzero(product)[:, disturbing].any(1)
        values = np.zeros(len(product.rows))
        if (inputs[~disturbing] != 0).any():
            values += weights.kernel_sums(product) @ np.where(disturbing, 0.0, inputs)
        values = np.where(varies, np.nan, values)
        values = np.tile(values, product.blocks) if product.transposed else values
        if product.bias is not None:
            values = values + weights.values(product.bias)
        known[product.result] = values.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class DepthwiseStep:
    """Constants through one kernel per channel."""

    layer: Depthwise
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Enter the bias of the channels whose kernel or input is zero."""
        layer, rows = self.layer, weights.rows_nonzero(self.layer.weight)
        factor = layer.multiplier
        inputs = along(known[layer.source], layer.axis, len(rows) if layer.transposed else len(rows) // factor)
        if layer.transposed:
            silent = np.repeat(~rows | (inputs == 0), factor)
        else:
            silent = ~rows | np.repeat(inputs == 0, factor)
        values = np.where(silent, 0.0, np.nan)
        known[layer.result] = (values + weights.values(layer.bias) if layer.bias else values).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class NormStep:
    """Constants through a norm: γ(c − μ)/√(σ² + ε) + β with running statistics; otherwise only γ = β = 0 is known.

    An instance norm takes a constant to β, for the constant is its own mean.
    """

    source: int
    result: int
    axis: int
    scale: str | None
    shift: str | None
    statistics: tuple[str, str, float] | None
    per_channel: bool
    shape: tuple[int, ...]

    def run(self, known: Known, weights: Weights) -> None:
        """Enter the constants after the norm."""
        count = self.shape[self.axis]
        inputs = along(known[self.source], self.axis, count)
        shift = weights.values(self.shift).ravel() if self.shift else np.zeros(count)
        scale = weights.values(self.scale).ravel() if self.scale else np.ones(count)
        if self.statistics is not None:
            mean, variance = (weights.values(name) for name in self.statistics[:2])
            values = scale * (inputs - mean) / np.sqrt(variance + self.statistics[2]) + shift
        else:
            values = np.where(np.isnan(inputs), np.nan, shift) if self.per_channel else np.full(count, np.nan)
        known[self.result] = np.where(scale == 0, shift, values).reshape(self.shape)
