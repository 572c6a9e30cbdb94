"""Which channels are alive: dead-code elimination, as in a compiler, at the level of channels.

Need flows backwards from the outputs, tensor by tensor (`engine.graph.steps`). A channel is live if any of its
tensors is needed. That a layer ignores what it sees as constant zero holds only while whatever makes the zero stays as
it is, or goes with its channel; so the pass starts from the belief that every channel goes, and is repeated with those
that proved live, until nothing changes. They only become more, so this ends; mostly after two passes.
"""

import copy
from collections.abc import Collection, Sequence

import numpy as np

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import FIXED
from winnow.engine.graph.records import Mix, Product
from winnow.engine.graph.steps import Demand, Known
from winnow.engine.graph.weights import Flags, Values, Weights


class Liveness:
    """The state of every channel for the weights as they stand when this is made.

    Channels in `keep` stay, needed or not; products in `folded` (by their results) can take a constant that they see
    into their bias, so that they do not need the channel. With `training`, a zero counts as one only if it is one in
    training mode too. All three are for those who remove; nothing by default.

    `live` (channels,): needed by an output. `kept` (channels,): live, or made by no layer (an input, a mean), so that
    nothing could be dropped. By `product.result`, for each product, (columns,): `used`, whether it uses the column;
    `constants`, the number that the column holds, NaN where it varies. `spoils`: the writes into memory that is looked
    at through other tensors, so that all of it is needed.

    Raises:
        ValueError: `outputs` names none of the model's outputs.

    """

    def __init__(
        self,
        graph: ChannelGraph,
        outputs: Sequence[str] | None = None,
        keep: Flags | None = None,
        folded: Collection[int] = (),
        training: bool = False,
    ) -> None:
        self.graph, self.folded = graph, frozenset(folded)
        self.outputs = tuple(graph.outputs) if outputs is None else tuple(outputs)
        if unknown := [name for name in self.outputs if name not in graph.outputs]:
            raise ValueError(f"`outputs` must be among {sorted(graph.outputs)}, got {unknown}.")
        self._weights = Weights(graph.model, training)
        self._later = _later(graph)
        self.constants = self._forward()
        self._settle(np.zeros(graph.count, bool) if keep is None else keep)

    def keeping(self, keep: Flags, folded: Collection[int] | None = None) -> "Liveness":
        """Return the same with other channels to keep and products folded; the weights are not read again."""
        other = copy.copy(self)
        other.folded = self.folded if folded is None else frozenset(folded)
        other._settle(keep)
        return other

    def _settle(self, keep: Flags) -> None:
        self.live = keep.copy()
        self.used: dict[int, Flags] = {}
        while (found := self._backward() | keep).sum() > self.live.sum():
            self.live = found
        for later, first in self._later.items():
            self.used[first] = self.used[first] | self.used[later]
        self.kept = self.live | ~_written(self.graph)

    def needed(self, mix: Mix) -> bool:
        """Whether an output depends on a mix."""
        return not mix.node or mix.node in self._nodes

    def is_zero(self, product: Product) -> bool:
        """Whether every weight of a layer is exactly zero."""
        return not self._weights.nonzero(product).any()

    def known(self) -> Known:
        """Return the constants that every tensor holds with the weights as they stand."""
        known = Known()
        for step in self.graph.steps:
            step.forward(known, self._weights)
        return known

    def _forward(self) -> dict[int, Values]:
        """Return what every product sees in its columns."""
        known = self.known()
        for later, first in self._later.items():
            one, other = known.seen[first], known.seen[later]
            known.seen[first] = known.seen[later] = np.where(one == other, one, np.nan)
        return known.seen

    def _backward(self) -> Flags:
        """Return the channels that are needed if those in `live` stay."""
        graph = self.graph
        needs = [np.zeros(carrier.labels.shape, bool) for carrier in graph.carriers]
        for name in self.outputs:
            for end in graph.ends[name]:
                needs[end][...] = True
        folded = self.folded | {later for later, first in self._later.items() if first in self.folded}
        demand = Demand(needs, self._weights, self.constants, self.live, self.used, folded)
        for step in reversed(graph.steps):
            step.backward(demand)
        self.spoils = demand.spoils
        live = np.zeros(graph.count, bool)
        live[FIXED] = True
        for carrier, need in zip(graph.carriers, needs, strict=True):
            live[carrier.labels[need]] = True
        self._nodes = {carrier.node for carrier, need in zip(graph.carriers, needs, strict=True) if need.any()}
        for flow in graph.flows:
            if isinstance(flow, Mix) and self.needed(flow):
                live[flow.sources] = True
        return live


def _later(graph: ChannelGraph) -> dict[int, int]:
    """Return for each use of a layer in a later pass the one use that stands for it in the first."""
    shown = {product.result for product in graph.products}
    uses: dict[str, list[int]] = {}
    for product in graph.products:
        uses.setdefault(product.weight, []).append(product.result)
    products = [flow for flow in graph.flows if isinstance(flow, Product) and flow.result not in shown]
    return {product.result: first for product in products for first in uses[product.weight][:1]}


def _written(graph: ChannelGraph) -> Flags:
    written = np.zeros(graph.count, bool)
    for site in graph.sites:
        if site.role in ("writer", "depthwise"):
            written[site.channels] = True
    written[graph.unmade] = False
    return written
