"""The steps of layers with weights and of norms; see `engine.graph.steps`."""

from dataclasses import dataclass, replace

import numpy as np

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.records import Depthwise, Product
from winnow.engine.graph.steps import Demand, Keep, Known, along, seen_by, settled
from winnow.engine.graph.weights import Flags, Weights


@dataclass(frozen=True, eq=False)
class ProductStep:
    """Constants through a convolution or linear layer: a row that sees only constants gives one itself."""

    product: Product
    shape: tuple[int, ...]

    def mapped(self, classes: Labels) -> "ProductStep":
        """Return the same with every label replaced by its class."""
        return replace(self, product=self.product.mapped(classes))

    def forward(self, known: Known, weights: Weights) -> None:
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

    def backward(self, demand: Demand) -> None:
        """Ask for the columns on which a needed row has a weight that is not zero."""
        product = self.product
        needed = demand.needs[product.result].reshape(product.blocks, -1)
        nonzero = demand.weights.nonzero(product)
        blocks = np.split(nonzero, product.blocks, axis=1 if product.transposed else 0)
        asked = np.stack([block[rows].any(0) for block, rows in zip(blocks, needed, strict=True)])
        silent = demand.ignored(product.result, product.columns)
        if product.transposed:
            asked = asked.reshape(1, -1)
        demand.used[product.result] = np.asarray((asked & ~silent).any(0))
        _ask_along(demand, product.source, product.axis, (asked & ~silent).ravel())


@dataclass(frozen=True, eq=False)
class DepthwiseStep:
    """Constants through one kernel per channel."""

    layer: Depthwise
    shape: tuple[int, ...]

    def forward(self, known: Known, weights: Weights) -> None:
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

    def backward(self, demand: Demand) -> None:
        """Ask for the channels whose kernel is not zero."""
        layer, nonzero = self.layer, demand.weights.rows_nonzero(self.layer.weight)
        need = demand.needs[layer.result].ravel()
        rows = np.repeat(nonzero, layer.multiplier) if layer.transposed else nonzero
        wanted = np.asarray((need & rows).reshape(-1, layer.multiplier).any(1))
        _ask_along(demand, layer.source, layer.axis, wanted)


@dataclass(frozen=True, eq=False)
class TableStep:
    """Rows picked from a table: a column of one number throughout is constant; with `sums`, one of zeros."""

    result: int
    table: str
    shape: tuple[int, ...]
    sums: bool = False

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter the columns that hold one number."""
        table = weights.tensor(self.table)
        first = table[0].cpu().double().numpy()
        constant = ((table == table[0]) if not self.sums else (table == 0)).all(0).cpu().numpy()
        known[self.result] = np.where(constant, first, np.nan).reshape(self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for nothing: the indices are asked for beside it."""


@dataclass(frozen=True, eq=False)
class NormStep:
    """Constants through a norm: γ(c − μ)/√(σ² + ε) + β with running statistics; otherwise only γ = β = 0 is known.

    In training mode a batch norm subtracts the batch's own mean: both modes agree on β where γ is 0, and where zeros
    meet a running mean of 0.
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

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter the constants after the norm."""
        count = self.shape[self.axis]
        inputs = along(known[self.source], self.axis, count)
        shift = weights.values(self.shift).ravel() if self.shift else np.zeros(count)
        scale = weights.values(self.scale).ravel() if self.scale else np.ones(count)
        if self.statistics is not None:
            mean, variance = (weights.values(name) for name in self.statistics[:2])
            if weights.training:
                inputs = np.where((inputs == 0) & (mean == 0), inputs, np.nan)
            values = scale * (inputs - mean) / np.sqrt(variance + self.statistics[2]) + shift
        else:
            values = np.where(np.isnan(inputs), np.nan, shift) if self.per_channel else np.full(count, np.nan)
        known[self.result] = np.where(scale == 0, shift, values).reshape(self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for the channels that are scaled by something else than zero."""
        need = demand.needs[self.result].ravel()
        if self.scale:
            need = need & (demand.weights.values(self.scale).ravel() != 0)
        _ask_along(demand, self.source, self.axis, need)


@dataclass(frozen=True, eq=False)
class StreamNormStep:
    """A norm over channels that can do with fewer: what is zero and goes adds nothing to its sums.

    Every other channel enters the mean and the variance of its group (`owners` says which, for the channels along
    `axis`), so that it is needed as soon as any result of the group is.
    """

    source: int
    result: int
    channels: Labels
    affine: tuple[str | None, str | None]
    shape: tuple[int, ...]
    axis: int
    owners: Labels

    def mapped(self, classes: Labels) -> "StreamNormStep":
        """Return the same with every label replaced by its class."""
        return replace(self, channels=classes[self.channels])

    def forward(self, known: Known, weights: Weights) -> None:
        """Enter β where γ is zero."""
        count = self.shape[self.axis]
        known.seen[seen_by(self.result)] = along(known[self.source], self.axis, count)
        scale, shift = self.affine
        values = np.full(count, np.nan)
        if scale is not None:
            shifts = weights.values(shift) if shift is not None else np.zeros(count)
            values = np.where(weights.values(scale) == 0, shifts, np.nan)
        known[self.result] = values.reshape(self.shape)

    def backward(self, demand: Demand) -> None:
        """Ask for what is scaled by something else than zero, and for all that the sums take."""
        need = demand.needs[self.result].ravel()
        if not need.any():
            return
        zero = (demand.seen[seen_by(self.result)] == 0) & ~demand.live[self.channels]
        scale = self.affine[0]
        used = need if scale is None else need & (demand.weights.values(scale) != 0)
        grouped = np.isin(self.owners, self.owners[used])
        _ask_along(demand, self.source, self.axis, used | (grouped & ~zero))


def _ask_along(demand: Demand, source: int, axis: int, wanted: Flags) -> None:
    shape = [1] * demand.needs[source].ndim
    shape[axis] = len(wanted)
    demand.ask(source, wanted.reshape(shape))


@dataclass(frozen=True, eq=False)
class Dropped(Keep):
    """Dropout at work; `always`: in evaluation mode too. `spares_zero`: a zero stays one."""

    spares_zero: bool = True
    always: bool = False

    def forward(self, known: Known, weights: Weights) -> None:
        """Pass on what dropout leaves: all where evaluation mode alone counts, zeros at most where it is at work."""
        super().forward(known, weights)
        if weights.training or self.always:
            values = known[self.result]
            known[self.result] = np.where((values == 0) & self.spares_zero, 0.0, np.nan)
