"""Which channels go: all that no output needs, but for one of every tensor that the program could not do without.

A branch may be dead as a whole and still stand in the program, for its sum with the stream. It keeps one channel: the
program runs as it did, in training too, at next to no cost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import fx, nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.readers import LEAST_ONES, GatherMode, Reading, foldable, folded_columns, readings

WRITING = ("iadd", "isub", "imul", "itruediv", "setitem")


@dataclass(frozen=True, eq=False)
class Plan:
    """The channels that stay, the nodes of the program that stay, and what was kept against the weights' word."""

    graph: ChannelGraph
    liveness: Liveness
    nodes: tuple[fx.Node, ...]
    result: Any
    gather: GatherMode = "never"
    kept_for: dict[str, str] = field(default_factory=dict)
    hollow: tuple[str, ...] = ()  # operations dead as a whole, with one channel left

    def keeping(self, channels: Labels, place: str, reason: str) -> "Plan":
        """Return the plan with channels that stay for a reason.

        Raises:
            ValueError: they stay already.

        """
        keep = self.liveness.kept.copy()
        keep[channels] = True
        if (keep == self.liveness.kept).all():
            raise ValueError(f"`model` should run with fewer channels. Found {place}: {reason}.")
        kept_for = {**self.kept_for, place: reason}
        return _runnable(replace(self, liveness=self.liveness.keeping(keep), kept_for=kept_for))

    def readings(self) -> dict[str, Reading]:
        """Return the layers that read otherwise than their input is."""
        return readings(self.liveness, self.gather)

    def whole(self) -> "Plan":
        """Return the plan for a model that runs all of its operations, needed or not, as its own class does."""
        nodes = tuple(node for node in self.graph.fx_graph.nodes if node.op != "output")
        return _runnable(replace(self, nodes=nodes))


def planned(graph: ChannelGraph, tasks: Sequence[str] | None, gather: GatherMode, training: bool = False) -> Plan:
    """Return the plan for the outputs of the given tasks (all by default), one that holds in `training` mode too.

    Raises:
        ValueError: `tasks` names none of the model's outputs.

    """
    output = next(node for node in graph.fx_graph.nodes if node.op == "output")
    result = output.args[0] if tasks is None else chosen(output.args[0], tasks)
    outputs = [name for name in graph.outputs if tasks is None or name.partition(".")[0] in tasks]
    nodes = _alive(graph, result)
    liveness = Liveness(graph, outputs, training=training)
    constant = set() if training else foldable(graph, liveness.constants)
    return (
        _folding(Plan(graph, liveness, nodes, result, gather), constant)
        if constant
        else _runnable(Plan(graph, liveness, nodes, result, gather))
    )


def _folding(plan: Plan, folded: Collection[int]) -> Plan:
    """Let layers take over constants; those that would need a channel of ones for a single one do not."""
    none = np.zeros(plan.graph.count, bool)
    plan = _runnable(replace(plan, liveness=plan.liveness.keeping(none, folded)))
    products = [product for product in plan.graph.products if product.result in plan.liveness.folded and product.padded]
    found = {product.result: len(folded_columns(plan.liveness, product)) for product in products}
    poor = {result for result, columns in found.items() if 0 < columns < LEAST_ONES}
    return _folding(plan, set(folded) - poor) if poor else plan


def chosen(result: Any, tasks: Sequence[str]) -> dict[str, Any]:
    """Return the entries of a model's result that belong to the tasks.

    Raises:
        ValueError: `tasks` is empty, or names what is not in the result.

    """
    names = list(result) if isinstance(result, dict) else []
    if not tasks or any(task not in names for task in tasks):
        raise ValueError(f"`tasks` should be among the model's outputs {names}. Found {list(tasks)}.")
    return {name: result[name] for name in names if name in tasks}


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


def _runnable(plan: Plan) -> Plan:
    """Keep one channel of every tensor that would be left without any."""
    alive, liveness = {node.name for node in plan.nodes}, plan.liveness
    empty = [
        carrier
        for carrier in plan.graph.carriers
        if carrier.bears and carrier.node in alive and not liveness.kept[carrier.labels].any()
    ]
    if not empty:
        return plan
    first = _flags(len(liveness.kept), [int(carrier.labels.flat[0]) for carrier in empty])
    hollow = tuple(dict.fromkeys((*plan.hollow, *(carrier.node for carrier in empty))))
    return _runnable(replace(plan, liveness=liveness.keeping(liveness.kept | first), hollow=hollow))


def _flags(count: int, channels: Sequence[int]) -> Flags:
    flags = np.zeros(count, bool)
    flags[list(channels)] = True
    return flags
