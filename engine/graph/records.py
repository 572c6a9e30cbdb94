"""What tracing writes down: which axis of which parameter lists which channels, and how one channel needs another.

A *site* is one axis of one parameter or buffer. Its role says what dropping a channel does there: `writer` (the filter
or the bias that makes the channel), `reader` (the column that takes it in), `depthwise` (one kernel per channel, in
and out alike), `norm` (γ, β and the running statistics), `constant` (a parameter that meets the channel element by
element, such as a layer scale).

Two *flows* carry need backwards. A product needs column i for row o where the weight W[o, i] is not zero. A mix needs
all its sources as soon as one of its results is needed: a group norm, a mean over channels, a mask over all channels.
"""

from dataclasses import dataclass, replace
from typing import Literal

from winnow.engine.graph.partition import Labels

Role = Literal["writer", "reader", "depthwise", "norm", "constant"]


@dataclass(frozen=True, eq=False)
class Site:
    """The channels along one axis of a parameter or buffer, by its full name."""

    layer: str
    parameter: str
    axis: int
    role: Role
    channels: Labels


@dataclass(frozen=True, eq=False)
class Product:
    """One use of a convolution or a linear layer: every row (an output channel) is a sum over columns (inputs).

    With g blocks only one position inside the blocks is a column: the blocks are tied, position by position.
    `macs` is the multiply-accumulates of one image for one (row, column). `padded` if a constant input does not give
    a constant output. `source` and `result` number the carriers, with the channels along `axis` from the end.
    """

    layer: str
    weight: str
    bias: str | None
    rows: Labels
    columns: Labels
    macs: float
    blocks: int
    transposed: bool
    padded: bool
    source: int
    result: int
    axis: int

    def mapped(self, classes: Labels) -> "Product":
        """Return the same with every label replaced by its class."""
        return replace(self, rows=classes[self.rows], columns=classes[self.columns])


@dataclass(frozen=True, eq=False)
class Depthwise:
    """One use of a convolution with a kernel per channel; `channels` along axis 0 of the weight, `macs` for each."""

    layer: str
    weight: str
    bias: str | None
    channels: Labels
    macs: float
    multiplier: int
    transposed: bool
    padded: bool
    source: int
    result: int
    axis: int

    def mapped(self, classes: Labels) -> "Depthwise":
        """Return the same with every label replaced by its class."""
        return replace(self, channels=classes[self.channels])


@dataclass(frozen=True, eq=False)
class Mix:
    """Every result depends on every source; `reason` says so to the user. `node` made the results, "" for all nodes."""

    layer: str
    reason: str
    sources: Labels
    results: Labels
    node: str = ""

    def mapped(self, classes: Labels) -> "Mix":
        """Return the same with every label replaced by its class."""
        return replace(self, sources=classes[self.sources].ravel(), results=classes[self.results].ravel())


@dataclass(frozen=True, eq=False)
class Reach:
    """Results that could depend on sources, whatever the weights; which of them do, the steps say."""

    layer: str
    sources: Labels
    results: Labels

    def mapped(self, classes: Labels) -> "Reach":
        """Return the same with every label replaced by its class."""
        return replace(self, sources=classes[self.sources], results=classes[self.results])


Flow = Product | Mix | Reach


@dataclass(frozen=True, eq=False)
class Join:
    """An operation that tied channels of several tensors, such as a residual sum."""

    name: str
    channels: Labels
