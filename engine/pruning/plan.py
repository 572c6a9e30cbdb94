"""Which channels go: all that no output needs, but for one of every tensor that the model could not do without.

A branch may be dead as a whole and still be run, for its sum with the stream. It keeps one channel: the model runs as
it did, in training too, at next to no cost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from torch import fx, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.layer_steps import Dropped, NormStep
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.partition import FIXED, Labels
from winnow.engine.graph.records import Product
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.trace import trace
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.blocks import Blocks
from winnow.engine.pruning.precision import private
from winnow.engine.pruning.readers import LEAST_ONES, GatherMode, Reading, foldable, folded_columns, readings
from winnow.engine.pruning.scores import norm_scores
from winnow.engine.pruning.units import units

FREE_OF_CHARGE = "this width costs no time, so the channel stays and can be trained"
WRITING = ("iadd", "isub", "imul", "itruediv", "setitem")
Runs = Literal["all", "needed", "program"]


@dataclass(frozen=True, eq=False)
class Plan:
    """The channels that stay, and what was kept against the weights' word.

    runs: what the smaller model runs: all operations, as its own class does; those that could matter for the tasks and
    are in no module of `gone`, where the parts of other tasks are taken out; or those of the program that was drawn.
    """

    graph: ChannelGraph
    liveness: Liveness
    tasks: tuple[str, ...] | None = None
    runs: Runs = "all"
    gather: GatherMode = "never"
    kept_for: dict[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    hollow: tuple[str, ...] = ()  # operations dead as a whole, with one channel left
    blocks: Blocks | None = None  # of widths that cost nothing, where channels are kept up to them

    def keeping(self, channels: Labels, place: str, reason: str) -> "Plan":
        """Return the plan with channels that stay for a reason.

        Raises:
            ValueError: they stay already.

        """
        keep = self.liveness.kept.copy()
        keep[channels] = True
        if (keep == self.liveness.kept).all():
            raise ValueError(f"`model` must run with fewer channels, got {place}: {reason}. Keep the model as it is.")
        kept_for = {**self.kept_for, place: reason}
        return _runnable(replace(self, liveness=self.liveness.keeping(keep), kept_for=kept_for))

    def running(self, runs: Runs, gone: frozenset[str] = frozenset()) -> "Plan":
        """Return the plan for a model that runs more or less of its operations."""
        return _runnable(replace(self, runs=runs, gone=gone))

    def readings(self) -> dict[str, Reading]:
        """Return the layers that read otherwise than their input is."""
        return readings(self.liveness, self.gather, self.blocks)

    def result(self) -> Any:
        """Return what the program gives, without the outputs of other tasks."""
        output = next(node for node in self.graph.fx_graph.nodes if node.op == "output").args[0]
        return output if self.tasks is None else {name: output[name] for name in output if name in self.tasks}

    def nodes(self) -> tuple[fx.Node, ...]:
        """Return the nodes of the program that its result needs, in order."""
        return _alive(self.graph, self.result())


def untouched(model: nn.Module, calls: Sequence[Call]) -> ChannelGraph:
    """Return the channel graph of a model, or that of a copy where its passes write into parameters.

    Whoever runs the graph's model again and again leaves the model itself as it was.
    """
    found = trace(model, calls)
    return trace(private(model), calls) if found.rewritten else found


def planned(
    graph: ChannelGraph,
    tasks: Sequence[str] | None,
    gather: GatherMode,
    training: bool = False,
    blocks: Blocks | None = None,
) -> Plan:
    """Return the plan for the outputs of the given tasks (all by default), one that holds in `training` mode too.

    With `blocks`, channels that could go are kept up to the widths that cost nothing (`rounded`).

    Raises:
        ValueError: `tasks` names none of the model's outputs.

    """
    outputs = list(graph.outputs) if tasks is None else _outputs_of(graph, tasks)
    liveness = Liveness(graph, outputs, training=training)
    constant = set() if training else foldable(graph, liveness.constants)
    named = None if tasks is None else tuple(tasks)
    plan = Plan(graph, liveness, named, "all" if tasks is None else "needed", gather, gone=idle(graph, outputs, named))
    plan = _folding(plan, constant) if constant else _runnable(plan)
    return plan if blocks is None else rounded(plan, blocks)


def rounded(plan: Plan, blocks: Blocks) -> Plan:
    """Return the plan with the best of the channels that could go, up to the widths that cost nothing.

    The best are those of the largest weights. What they are made of stays with them, so that other widths grow and are
    rounded again. A width of none, or of one channel in the place of none, stays as it is; so does one of channels
    that stand for several entries each, such as the heads of an attention layer.
    """
    found = units(plan.graph.model, (), graph=plan.graph)
    scores = norm_scores(found, "size")
    plain = {space.name for space in plan.graph.spaces if _one_entry_each(space)}
    plan, before = replace(plan, blocks=blocks), -1
    alone = plan.liveness.kept & ~plan.liveness.keeping(np.zeros(plan.graph.count, bool)).kept
    while before < plan.liveness.kept.sum():
        before, keep, words = int(plan.liveness.kept.sum()), plan.liveness.kept.copy(), dict(plan.kept_for)
        for kind, name in enumerate(found.names):
            members = np.flatnonzero(found.classes == kind)
            there = keep[found.channels[members]]
            width = int(there.sum())
            more = min(blocks.free(width), len(members)) - width
            if width and more and name in plain and not alone[found.channels[members[there]]].all():
                gone = members[~there]
                keep[found.channels[gone[np.argsort(-scores[gone], kind="stable")][:more]]] = True
                words[name] = FREE_OF_CHARGE
        plan = _runnable(replace(plan, liveness=plan.liveness.keeping(keep), kept_for=words))
    return plan


def _one_entry_each(space: Space) -> bool:
    makers = [part for part in space.slices if part.role in ("writer", "depthwise")]
    return all(part.length == len(space.channels) for part in makers)


def depends_on_mode(plan: Plan) -> bool:
    """Whether something may be constant in evaluation mode alone.

    Behind a norm of running statistics, where it is folded, or where dropout makes another number of it.
    """
    norms = (step for step in plan.graph.steps if isinstance(step, NormStep))
    drops = any(isinstance(step, Dropped) and not step.spares_zero for step in plan.graph.steps)
    return drops or bool(plan.liveness.folded) or any(step.statistics is not None for step in norms)


def _outputs_of(graph: ChannelGraph, tasks: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name.partition(".")[0] for name in graph.outputs))
    if not tasks or any(task not in names for task in tasks):
        raise ValueError(f"`tasks` must be among the model's outputs {names}, got {list(tasks)}. Name some of them.")
    return [name for name in graph.outputs if name.partition(".")[0] in tasks]


def reaching(graph: ChannelGraph, outputs: Collection[str]) -> Flags:
    """Return which channels could matter for some outputs, whatever the weights, (channels,)."""
    reached = np.zeros(graph.count, bool)
    for name in outputs:
        reached[graph.outputs[name]] = True
    before = -1
    while before < reached.sum():
        before = int(reached.sum())
        for flow in reversed(graph.flows):
            ends = (flow.columns, flow.rows) if isinstance(flow, Product) else (flow.sources, flow.results)
            sources, results = ends
            if reached[results].any():
                reached[sources] = True
    reached[FIXED] = False
    return reached


def idle(graph: ChannelGraph, outputs: Collection[str], tasks: Sequence[str] | None) -> frozenset[str]:
    """Return the modules that only other outputs need: no channel of theirs could matter, or they bear their name."""
    if tasks is None:
        return frozenset()
    reached, path_of = reaching(graph, outputs), {event.node: event.path for event in graph.events}
    ran: set[str] = set()
    needed: set[str] = set()
    for carrier in graph.carriers:
        if carrier.bears and carrier.node in path_of:
            ran |= above(path_of[carrier.node])
            needed |= above(path_of[carrier.node]) if reached[carrier.labels].any() else set()
    others = {name.partition(".")[0] for name in graph.outputs} - set(tasks)
    named = {
        f"{path}.{name}".lstrip(".")
        for path, module in graph.model.named_modules()
        if isinstance(module, nn.ModuleDict) and set(tasks) <= set(module)
        for name in others & set(module)
    }
    return frozenset((ran - needed) | named)


def _folding(plan: Plan, folded: Collection[int]) -> Plan:
    """Let layers take over constants; those that would need a channel of ones for a single one do not."""
    none = np.zeros(plan.graph.count, bool)
    plan = _runnable(replace(plan, liveness=plan.liveness.keeping(none, folded)))
    products = [product for product in plan.graph.products if product.result in plan.liveness.folded and product.padded]
    found = {product.result: len(folded_columns(plan.liveness, product)) for product in products}
    poor = {result for result, columns in found.items() if 0 < columns < LEAST_ONES}
    return _folding(plan, set(folded) - poor) if poor else plan


def _alive(graph: ChannelGraph, result: Any) -> tuple[fx.Node, ...]:
    """Return the nodes that the result needs, in order: its operands, and what writes into one of them."""
    alive: set[fx.Node] = set()
    fx.map_arg(result, lambda node: alive.add(node))
    before = -1
    while before < len(alive):
        before = len(alive)
        for node in reversed(graph.fx_graph.nodes):
            if _writes(graph.model, node) and node.all_input_nodes and node.all_input_nodes[0] in alive:
                alive.add(node)
            if node in alive:
                alive.update(node.all_input_nodes)
    return tuple(node for node in graph.fx_graph.nodes if node in alive or node.op == "placeholder")


def _writes(model: nn.Module, node: fx.Node) -> bool:
    """Whether an operation writes into its first operand."""
    if node.op == "call_module":
        return bool(getattr(model.get_submodule(str(node.target)), "inplace", False))
    name = getattr(node.target, "__name__", str(node.target))
    return (name.endswith("_") and not name.endswith("__")) or name in WRITING or bool(node.kwargs.get("inplace"))


def observed(carrier: Carrier) -> bool:
    """Whether a tensor was seen in a pass of the model, not in one of the program that was drawn."""
    return ":" in carrier.node


def _run_by(plan: Plan) -> list[Carrier]:
    """Return the tensors with channels that the smaller model makes."""
    bearing = [carrier for carrier in plan.graph.carriers if carrier.bears]
    if plan.runs == "program":
        alive = {node.name for node in plan.nodes()}
        return [carrier for carrier in bearing if carrier.node in alive]
    seen = [carrier for carrier in bearing if observed(carrier)]
    if plan.runs == "all":
        return seen
    reached = reaching(plan.graph, plan.liveness.outputs)
    absent = {event.node for event in plan.graph.events if above(event.path) & plan.gone}
    return [carrier for carrier in seen if carrier.node not in absent and reached[carrier.labels].any()]


def above(path: str) -> set[str]:
    """Return the path of a module and those of the modules that hold it, but the model itself."""
    parts = path.split(".") if path else []
    return {".".join(parts[: place + 1]) for place in range(len(parts))}


def _runnable(plan: Plan) -> Plan:
    """Keep one channel of every tensor that would be left without any."""
    carriers = _run_by(plan)
    while empty := [carrier for carrier in carriers if not plan.liveness.kept[carrier.labels].any()]:
        first = np.zeros(len(plan.liveness.kept), bool)
        first[[int(carrier.labels.flat[0]) for carrier in empty]] = True
        named = places(plan.graph)
        nodes = (carrier.node.removesuffix(":inside") for carrier in empty)  # what an operation made inside
        hollow = dict.fromkeys((*plan.hollow, *(named.get(node, node) for node in nodes)))
        plan = replace(plan, liveness=plan.liveness.keeping(plan.liveness.kept | first), hollow=tuple(hollow))
    return plan


def places(graph: ChannelGraph) -> dict[str, str]:
    """Return where each operation of the passes is, for the user: its layer, or the module's path and its own name."""
    modules = dict(graph.model.named_modules())
    found = {}
    for event in graph.events:
        module = modules.get(event.path)
        layer = module is not None and type(module).__module__.startswith("torch.nn.modules") and event.path
        found[event.node] = event.path if layer else f"{event.path}.{event.name.removeprefix('aten::')}".lstrip(".")
    return found
