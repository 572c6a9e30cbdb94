"""Which channels are alive: dead-code elimination, as in a compiler, at the level of channels.

Need flows backwards from the outputs. A channel is live if it reaches an output, or if some live row of some layer has
a non-zero weight on it, or if something live mixes it in. A layer does not use a column that it sees as constant zero.
Residual sums tie channels in circles, so the passes repeat until nothing changes: the least fixed point.
"""

from collections.abc import Sequence

import numpy as np

from engine.channels.graph import ChannelGraph
from engine.channels.partition import FIXED
from engine.channels.records import Mix, Product
from engine.channels.steps import Known
from engine.channels.weights import Flags, Values, Weights


class Liveness:
    """The state of every channel for the weights as they stand when this is made.

    `live` (channels,): needed by an output. `kept` (channels,): live, or made by no layer (an input, a mean), so that
    nothing could be dropped. By `product.result`, for each product, (columns,): `used`, whether it uses the column;
    `constants`, the number that the column holds, NaN where it varies.

    Raises:
        ValueError: `outputs` names none of the model's outputs.

    """

    def __init__(self, graph: ChannelGraph, outputs: Sequence[str] | None = None) -> None:
        self.graph = graph
        self.outputs = tuple(graph.outputs) if outputs is None else tuple(outputs)
        if unknown := [name for name in self.outputs if name not in graph.outputs]:
            raise ValueError(f"`outputs` should be among {sorted(graph.outputs)}. Found {unknown}.")
        weights = Weights(graph.model)
        self.constants = _constants(graph, weights)
        nonzero = {product.result: weights.nonzero(product) for product in graph.products}
        self.live, self.used = self._fixed_point(nonzero)
        self.kept = self.live | ~_written(graph)

    def needed(self, mix: Mix) -> bool:
        """Whether something live depends on a mix."""
        return bool(self.live[mix.results].any())

    def _fixed_point(self, nonzero: dict[int, Flags]) -> tuple[Flags, dict[int, Flags]]:
        live = np.zeros(self.graph.count, bool)
        live[FIXED] = True
        for name in self.outputs:
            live[self.graph.outputs[name]] = True
        used = {product.result: np.zeros(len(product.columns), bool) for product in self.graph.products}
        before = -1
        while before < live.sum():
            before = int(live.sum())
            for flow in reversed(self.graph.flows):
                if isinstance(flow, Product):
                    key = flow.result
                    used[key] = nonzero[key][live[flow.rows]].any(0) & (self.constants[key] != 0)
                    live[flow.columns[used[key]]] = True
                elif live[flow.results].any():
                    live[flow.sources] = True
        return live, used


def _constants(graph: ChannelGraph, weights: Weights) -> dict[int, Values]:
    """Return what every product sees in its columns, by the place of the product."""
    known = Known()
    for step in graph.steps:
        step.run(known, weights)
    return known.seen


def _written(graph: ChannelGraph) -> Flags:
    written = np.zeros(graph.count, bool)
    for site in graph.sites:
        if site.role in ("writer", "depthwise"):
            written[site.channels] = True
    written[graph.unmade] = False
    return written
