"""The network as a drawing: layers in the order in which they run, the streams between them, where streams meet.

A node is an input or an output of the model, a use of a layer with weights, a table of an embedding, or a join: an
operation that takes what several others made, such as a residual sum, a concatenation or a product of attention.
Whatever works on one stream alone, a norm or an activation, is part of the edge.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from winnow.engine.graph.contract_steps import Contract
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.layer_steps import DepthwiseStep, ProductStep, TableStep
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.records import Depthwise, Product
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentStep, Wires
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.steps import ChosenStep, Named, Spoil, Step, Unknown, Zero
from winnow.engine.graph.tables import component, depthwise_macs, product_macs, recurrent_macs, recurrent_uses

Kind = Literal["input", "layer", "join", "output"]
NODES = (
    *("node", "kind", "name", "operation", "component", "space", "outputs", "channels", "kept", "columns", "used"),
    *("parameters", "macs", "removable_macs", "gathered_macs"),
)
EDGES = ("source", "target", "channels", "kept")
_NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class StreamNode:
    """An end, a layer or a join; `channels` are those that it gives, of the first place where it does."""

    kind: Kind
    name: str
    operation: str
    channels: Labels
    use: Product | Depthwise | TableStep | RecurrentStep | CellStep | None = None


@dataclass(eq=False)
class Streams:
    """The nodes in the order in which they run, and which channels go from one to another."""

    nodes: list[StreamNode] = field(default_factory=list)
    edges: dict[tuple[int, int], Labels] = field(default_factory=dict)

    def add(self, node: StreamNode) -> int:
        """Enter a node; return its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def link(self, sources: Iterable[int], target: int, channels: Labels) -> None:
        """Enter that a node takes channels of others."""
        for source in sources:
            if source != target and len(channels) > len(self.edges.get((source, target), _NOWHERE)):
                self.edges[source, target] = channels


def streams(graph: ChannelGraph) -> Streams:
    """Return the nodes and edges of a model; a layer that runs twice on one input is two nodes."""
    return _pruned(_Reading(graph).read())


def stream_tables(found: Streams, liveness: Liveness) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the nodes and the edges as frames.

    Nodes: node (its number, in the order in which they run); kind (input, layer, join or output); name (of the layer,
    of the end, of the operation that joins); operation (the kind of layer); component (`engine.graph.tables`); space
    (of the channels that it gives); outputs (the model's outputs that it can reach, comma-separated); channels that it
    gives and how many of them are kept; columns that it reads and how many of them are used; parameters of its weight
    and bias, whoever else uses them; macs of one image, how many of them go with dead channels, and how many with
    gathers too.

    Edges: source, target (numbers of nodes); channels that go there and how many of them are kept.
    """
    spaces = {int(channel): space for space in liveness.graph.spaces for channel in space.channels}
    sizes = {name: own.numel() for name, own in liveness.graph.model.named_parameters(remove_duplicate=False)}
    nodes = [(place, *_row(liveness, node, spaces, sizes)) for place, node in enumerate(found.nodes)]
    edges = [
        (*ends, len(channels), int(liveness.kept[channels].sum())) for ends, channels in sorted(found.edges.items())
    ]
    return pd.DataFrame(nodes, columns=list(NODES)), pd.DataFrame(edges, columns=list(EDGES))


class _Reading:
    """Goes over the steps in order; `made` says which nodes made each tensor.

    A layer's use in a later pass is that of the first: `uses` has the last of every weight.
    """

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph, self.found = graph, Streams()
        self.made: dict[int, tuple[int, ...]] = {}
        self.uses: dict[str, int] = {}
        self.joins: dict[tuple[str, tuple[int, ...]], int] = {}
        self.first: dict[int, Product | Depthwise] = {use.result: use for use in graph.products}
        self.first.update({use.result: use for use in graph.depthwise})
        self.kinds = {path: type(module).__name__ for path, module in graph.model.named_modules()}
        self.names = {event.node: event.name for event in graph.events}
        self.tables: dict[str, int] = {}

    def read(self) -> Streams:
        for step in self.graph.steps:
            if isinstance(step, Unknown):
                self._input(step.result)
            elif isinstance(step, ChosenStep) and step.result in self.made:
                self._picked(step)
            elif not self._weighted(step) and not isinstance(step, Named | Spoil | Zero):
                self._operation(step)
        for name, carriers in self.graph.ends.items():
            node = self.found.add(StreamNode("output", name, "", self._channels(carriers[0])))
            for carrier in carriers:
                self.found.link(self.made.get(carrier, ()), node, self._channels(carrier))
        return self.found

    def _weighted(self, step: Step) -> bool:
        """Enter a layer with weights; return whether the step is one."""
        match step:
            case ProductStep():
                self._layer(step.product)
            case DepthwiseStep():
                self._layer(step.layer)
            case TableStep():
                self._table(step)
            case RecurrentStep() | CellStep():
                self._recurrent(step, step.wires)
            case _:
                return False
        return True

    def _channels(self, carrier: int) -> Labels:
        return np.setdiff1d(self.graph.carriers[carrier].labels, [0])

    def _input(self, carrier: int) -> None:
        """Enter a tensor from outside, if it is an input of the model; its constants are no nodes."""
        channels = self._channels(carrier)
        names = [name for name, own in self.graph.inputs.items() if len(channels) and np.isin(channels, own).all()]
        for name in names[:1]:
            key = (name, ())
            if key not in self.joins:
                self.joins[key] = self.found.add(StreamNode("input", name, "", channels))
            self.made[carrier] = (self.joins[key],)

    def _layer(self, use: Product | Depthwise) -> None:
        if (own := self.first.get(use.result)) is not None:
            kind = self.kinds.get(own.layer, own.layer.rpartition(".")[2])
            rows = own.rows if isinstance(own, Product) else own.channels
            self.uses[use.weight] = self.found.add(StreamNode("layer", own.layer or own.weight, kind, rows, own))
        node = self.uses[use.weight]
        self.found.link(self.made.get(use.source, ()), node, self._channels(use.source))
        self.made[use.result] = (node,)

    def _table(self, step: TableStep) -> None:
        """Enter an embedding once."""
        if step.table not in self.tables:
            self.tables[step.table] = self._weighty(step.table, self._channels(step.result), step)
        self.made[step.result] = (self.tables[step.table],)

    def _picked(self, step: ChosenStep) -> None:
        """Enter what picks the rows of a table."""
        for source in step.sources:
            self.found.link(self.made.get(source, ()), self.made[step.result][0], self._channels(source))

    def _recurrent(self, step: RecurrentStep | CellStep, wires: Wires) -> None:
        """Enter a recurrent layer, a cell at its first use."""
        weight = step.levels[0].weight_ih
        if weight not in self.uses:
            self.uses[weight] = self._weighty(weight, self._channels(wires.results[0]), step)
        for source in (wires.source, *wires.states):
            self.found.link(self.made.get(source, ()), self.uses[weight], self._channels(source))
        self.made.update(dict.fromkeys(wires.results, (self.uses[weight],)))

    def _weighty(self, weight: str, channels: Labels, use: TableStep | RecurrentStep | CellStep) -> int:
        layer = weight.rpartition(".")[0]
        return self.found.add(StreamNode("layer", layer or weight, self.kinds.get(layer, ""), channels, use))

    def _operation(self, step: Step) -> None:
        sources, result = _ends(step)
        makers = tuple(sorted({node for source in sources for node in self.made.get(source, ())}))
        self.made[result] = (self._join(sources, result, makers),) if len(makers) > 1 else makers

    def _join(self, sources: tuple[int, ...], result: int, makers: tuple[int, ...]) -> int:
        made_by = self.graph.carriers[result].node.removesuffix(":inside")
        name = self.names.get(made_by, made_by.rpartition(":")[2])
        if (name, makers) not in self.joins:
            self.joins[name, makers] = self.found.add(StreamNode("join", name, name, self._channels(result)))
        node = self.joins[name, makers]
        for source in sources:
            self.found.link(self.made.get(source, ()), node, self._channels(source))
        return node


def _ends(step: Step) -> tuple[tuple[int, ...], int]:
    """Return what an operation on tensors takes and what it gives."""
    if isinstance(step, Contract):
        return tuple(factor.carrier.index for factor in step.factors), step.result
    result: int = step.result  # type: ignore[attr-defined]  # every step but Spoil has one
    many: tuple[int, ...] | None = getattr(step, "sources", None)
    return (step.source,) if many is None else tuple(many), result  # type: ignore[attr-defined]


def _pruned(found: Streams) -> Streams:
    """Return the same without joins whose result nobody takes, and without inputs that nobody reads."""
    counts = Counter(source for source, _ in found.edges)
    gone = {
        place for place, node in enumerate(found.nodes) if node.kind in ("join", "input") and not counts.get(place, 0)
    }
    if not gone:
        return found
    stays = [place for place in range(len(found.nodes)) if place not in gone]
    number = {place: new for new, place in enumerate(stays)}
    edges = {
        (number[source], number[target]): channels
        for (source, target), channels in found.edges.items()
        if source not in gone and target not in gone
    }
    return _pruned(Streams([found.nodes[place] for place in stays], edges))


def _row(
    liveness: Liveness, node: StreamNode, spaces: Mapping[int, Space], sizes: Mapping[str, int]
) -> Iterator[object]:
    """Yield what the frame says of a node, after its number; `sizes` are those of all parameters, by name."""
    own = [spaces[int(label)] for label in node.channels[:1] if int(label) in spaces]
    reaches = own[0].reaches if own else ()
    weights = _weights(node)
    yield from (node.kind, node.name, node.operation)
    yield component(liveness.graph.model, weights[0]) if weights else ""
    yield own[0].name if own else ""
    yield ", ".join((node.name,) if node.kind == "output" else reaches)
    yield from (len(node.channels), int(liveness.kept[node.channels].sum()))
    yield from _columns(liveness, node)
    yield sum(sizes.get(name, 0) for name in weights)
    yield from _macs(liveness, node)


def _weights(node: StreamNode) -> tuple[str, ...]:
    match node.use:
        case Product() | Depthwise():
            return tuple(name for name in (node.use.weight, node.use.bias) if name is not None)
        case TableStep():
            return (node.use.table,)
        case RecurrentStep() | CellStep():
            return tuple(
                name for level in node.use.levels for name in (level.weight_ih, level.weight_hh, *level.biases)
            )
    return ()


def _columns(liveness: Liveness, node: StreamNode) -> tuple[int, int]:
    """Return how many channels a node reads, and how many of them are used."""
    match node.use:
        case Product():
            return len(node.use.columns), int(liveness.used[node.use.result].sum())
        case Depthwise():
            return len(node.channels), int(liveness.kept[node.channels].sum())
        case RecurrentStep() | CellStep():
            return len(node.use.wires.inputs), int(liveness.kept[node.use.wires.inputs].sum())
    return 0, 0


def _macs(liveness: Liveness, node: StreamNode) -> tuple[float, float, float]:
    match node.use:
        case Product():
            return product_macs(liveness, node.use)
        case Depthwise():
            return depthwise_macs(liveness, node.use)
        case RecurrentStep() | CellStep() as use:
            same = [own for own in recurrent_uses(liveness.graph.steps) if own.levels[0].weight_ih == _weights(node)[0]]
            uses = [recurrent_macs(liveness, own) for own in (same if isinstance(use, CellStep) else [use])]
            whole, removable, gathered = (sum(each) for each in zip(*uses, strict=True))
            return whole, removable, gathered
    return 0.0, 0.0, 0.0
