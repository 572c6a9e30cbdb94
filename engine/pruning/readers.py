"""What each layer reads once the channels are gone: fewer columns, gathered ones, constants taken over.

Only a layer that is a module and used once can be changed so; any other reads what its input still has. A channel is
constant in evaluation mode where a zero filter passes a batch norm. Where a reader cannot take the constant over, the
channel stays, exact and idle, and `constants_in_words` says why.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import fx

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.records import Mix, Product
from winnow.engine.graph.weights import Flags, Values
from winnow.engine.pruning.blocks import Blocks
from winnow.engine.pruning.cost import Coefficients
from winnow.engine.pruning.selecting import SELECTING

GatherMode = Literal["always", "never"] | Coefficients
LEAST_ONES = 2  # constants of one padded layer for which a channel of ones is worth while


@dataclass(frozen=True, eq=False)
class Reading:
    """What a layer reads: `stays`, columns of its weight; `index`, their places in its input (None: it has no others).

    `folded` are columns whose channels went and that held `constants`: through a channel of ones (`ones`) or in the
    bias.
    """

    product: Product
    stays: Labels
    index: Labels | None
    folded: Labels
    constants: Values

    @property
    def ones(self) -> bool:
        """Whether constants come in through a channel of ones."""
        return bool(len(self.folded)) and self.product.padded


def changeable(graph: ChannelGraph) -> dict[int, Product]:
    """Return the products of layers that can read otherwise, by their results."""
    ran = {event.node: event.path for event in graph.events}
    ran |= {node.name: str(node.target) for node in (graph.program.nodes if graph.program else ()) if _is_layer(node)}
    plain = {flow.layer for flow in graph.flows if isinstance(flow, Mix)}  # parameters that are used in two ways
    uses = Counter(product.weight for product in graph.products)
    names = Counter(id(parameter) for _, parameter in graph.model.named_parameters(remove_duplicate=False))
    modules = dict(graph.model.named_modules())
    found = {}
    for product in graph.products:
        layer: Any = modules.get(product.layer)
        itself = ran.get(graph.carriers[product.result].node) == product.layer
        if not itself or uses[product.weight] > 1 or {product.weight, product.bias} & plain:
            continue
        tied = any(names[id(parameter)] > 1 for parameter in layer.parameters())
        if type(layer) in SELECTING and not tied and product.weight == f"{product.layer}.weight":
            found[product.result] = product
    return found


def _is_layer(node: fx.Node) -> bool:
    return bool(node.op == "call_module")


def foldable(graph: ChannelGraph, constants: Mapping[int, Values]) -> set[int]:
    """Return the products that could take over constants other than zero; by a channel of ones only if it pays."""
    found = set()
    for result, product in changeable(graph).items():
        held = int((np.nan_to_num(constants[result]) != 0).sum())
        least = LEAST_ONES if product.padded else 1
        layer: Any = graph.model.get_submodule(product.layer)
        plain = not product.transposed and getattr(layer, "padding_mode", "zeros") == "zeros"
        if plain and held >= least and (product.blocks == 1 or not product.padded):
            found.add(result)
    return found


def readings(liveness: Liveness, gather: GatherMode, blocks: Blocks | None = None) -> dict[str, Reading]:
    """Return what the layers read that read otherwise than their input is, by the layer's name.

    With `blocks`, a layer that gathers picks as many channels as cost nothing.
    """
    found = {}
    for product in changeable(liveness.graph).values():
        if not liveness.kept[product.rows].any():  # it goes as a whole
            continue
        reading = _reading(liveness, product, gather, blocks)
        if reading.index is not None or len(reading.folded):
            found[product.layer] = reading
    return found


def readings_in_words(readings: Mapping[str, Reading]) -> dict[str, dict[str, str]]:
    """Return what a certificate says of them: {"gathered": {layer: …}, "folded": {layer: …}}."""
    gathered = {layer: str(len(found.stays)) for layer, found in readings.items() if found.index is not None}
    folded = {
        layer: f"{len(found.folded)} into {'a channel of ones' if found.ones else 'the bias'}"
        for layer, found in readings.items()
        if len(found.folded)
    }
    return {"gathered": gathered, "folded": folded}


def constants_in_words(liveness: Liveness) -> dict[str, str]:
    """Return, by layer, how many constant channels it still reads as channels, and why."""
    able = changeable(liveness.graph)
    found = {}
    for product in liveness.graph.products:
        held = _constant(liveness, product)
        staying = held & liveness.kept[product.columns]
        if staying.any() and liveness.kept[product.rows].any():
            reason = _reason(liveness, product, product.result in able, int(held.sum()))
            found[product.layer] = f"{int(staying.sum())} constant: {reason}"
    return found


def folded_columns(liveness: Liveness, product: Product) -> Labels:
    """Return the columns whose channels went while they held a constant other than zero."""
    if product.result not in liveness.folded:
        return np.zeros(0, np.int64)
    constants = liveness.constants[product.result]
    return np.flatnonzero(~liveness.kept[product.columns] & (np.nan_to_num(constants) != 0))


def _reading(liveness: Liveness, product: Product, gather: GatherMode, blocks: Blocks | None) -> Reading:
    folded = folded_columns(liveness, product)
    constants = liveness.constants[product.result][folded]
    kept = liveness.kept[product.columns]
    used = kept & liveness.used[product.result]
    if not used.any():
        used[np.flatnonzero(kept)[:1]] = True
    stays = np.flatnonzero(kept)
    index = None
    if blocks is not None:
        idle = stays[~used[stays]]
        used[idle[: blocks.free(int(used.sum())) - int(used.sum())]] = True
    if product.blocks == 1 and not used[stays].all() and _pays(liveness, product, used, gather):
        index, stays = np.flatnonzero(used[stays]), np.flatnonzero(used)
    return Reading(product, stays, index, folded, constants)


def _pays(liveness: Liveness, product: Product, used: Flags, gather: GatherMode) -> bool:
    if not isinstance(gather, Coefficients):
        return gather == "always"
    graph = liveness.graph
    source = graph.carriers[product.source]
    fewer = int(liveness.kept[product.columns].sum() - used.sum())
    images = source.shape[0] if len(source.shape) > 1 else 1
    macs = product.macs * images * int(liveness.kept[product.rows].sum()) * fewer
    entries = np.prod(source.shape) / source.shape[product.axis] * int(used.sum())
    size = graph.model.get_parameter(product.weight).element_size()
    return gather.pays(macs, 2 * float(entries) * size)


def _constant(liveness: Liveness, product: Product) -> Flags:
    """Return the columns that hold a constant other than zero which the layer uses."""
    seen = liveness.constants[product.result]
    held: Flags = np.isfinite(seen) & (np.nan_to_num(seen) != 0) & liveness.used[product.result]
    return held


def _reason(liveness: Liveness, product: Product, able: bool, held: int) -> str:
    if product.result in liveness.folded:
        return "something else needs the channel"
    if product.transposed:
        return "a transposed convolution does not turn a constant into a constant"
    if not able:
        return "the layer's weight is shared, or it is no plain module"
    if product.blocks > 1 and product.padded:
        return "a grouped convolution with padding cannot read a channel of ones"
    if product.padded and held < LEAST_ONES:
        return "a channel of ones would cost as much"
    return "padded, a constant input does not give a constant output"
