"""The program of a smaller model: the traced one, node by node, with the sizes that it names put right.

Every node is run as it is copied, on the smaller layers, so that sizes computed along the way are known; its tensors
must come out with just the channels that stay. What moves channels is run on their labels besides, so that no offset
can be wrong. Where a node does not fit, its channels stay, and the user is told which and why.
"""

import operator
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.movement import moved
from winnow.engine.graph.operation import tensors_in
from winnow.engine.graph.rules import FUNCTION_RULES, MODULE_RULES
from winnow.engine.pruning.fitting import Unfit, expected_shape
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.sizes import RESHAPES, SizeCheck, resize, settle, size_name


class Program:
    """The copied graph."""

    def __init__(self, plan: Plan, twin: nn.Module, inputs: Mapping[str, Any]) -> None:
        self.plan, self.twin, self.inputs = plan, twin, inputs
        self.fx_graph = fx.Graph()
        self.copies: dict[fx.Node, fx.Node] = {}
        self._values: dict[fx.Node, Any] = {}
        nodes = plan.nodes()
        self._left = Counter(operand for node in nodes for operand in node.all_input_nodes)
        self._carriers: dict[fx.Node, tuple[Carrier, ...]] = {}
        for node in nodes:
            self._copy(node)
        self.fx_graph.output(fx.map_arg(plan.result(), lambda node: self.copies[node]))

    def carriers(self, node: fx.Node) -> tuple[Carrier, ...]:
        """Return the tensors that a node gave, in order; of a part of a tuple, that part."""
        found = self.plan.graph.tensors(node.name)
        if not found and node.target is operator.getitem and isinstance(node.args[1], int):
            return self._carriers[node.args[0]][node.args[1] :][:1]  # type: ignore[index]
        return tuple(replace(carrier, labels=squeezed(carrier.labels)) for carrier in found)

    def expected(self, carrier: Carrier) -> tuple[int, ...] | None:
        """Return the shape of a tensor with the channels that stay, None where they have no single axis."""
        return expected_shape(carrier, self.plan.liveness.kept)

    def _copy(self, node: fx.Node) -> None:
        self._carriers[node] = carriers = self.carriers(node)
        copied = self.copies[node] = self.fx_graph.node_copy(node, lambda operand: self.copies[operand])
        sized = SizeCheck(
            node,
            self._sources(node),
            carriers,
            self.plan.liveness.kept,
            self.expected,
            bool(self.plan.graph.tensors(node.name)),
            self._values.__getitem__,
        )
        if node.op == "call_module":
            settle(self.twin.get_submodule(str(node.target)), sized)
        elif sized.shrinks or size_name(node) in RESHAPES:
            resize(copied, sized)
        try:
            value = self._run(copied)
            self._check(node, value)
            if sized.shrinks and sized.entered and _moves(self.twin, node):
                self._check_labels(node, copied)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise self._unfit(node, str(error).partition("\n")[0]) from error
        self._values[copied] = value
        for operand in node.all_input_nodes:
            self._left[operand] -= 1
            if not self._left[operand]:
                del self._values[self.copies[operand]]

    def _sources(self, node: fx.Node) -> tuple[Carrier, ...]:
        return tuple(carrier for operand in node.all_input_nodes for carrier in self._carriers[operand])

    def _origins(self, node: fx.Node) -> list[Carrier]:
        """Return the tensors that a node takes, and those that the numbers which it takes were computed from."""
        found: list[Carrier] = []
        for operand in node.all_input_nodes:
            found += self._carriers[operand] or self._origins(operand)
        return found

    def _unfit(self, node: fx.Node, reason: str) -> Unfit:
        every = [carrier.labels.ravel() for carrier in (*self._origins(node), *self._carriers[node])]
        return Unfit(node.name, reason, np.unique(np.concatenate([np.zeros(1, np.int64), *every])))

    def _run(self, node: fx.Node, swapped: Mapping[fx.Node, Any] | None = None) -> Any:
        """Return what a copied node gives, with other values for some of its operands."""
        values = {**self._values, **(swapped or {})}
        value = values.__getitem__
        if node.op == "placeholder":
            return self.inputs.get(str(node.target), node.args[0] if node.args else None)
        if node.op == "get_attr":
            return _attribute(self.twin, str(node.target))
        args, kwargs = fx.map_arg(node.args, value), fx.map_arg(node.kwargs, value)
        target: Any = node.target
        if node.op == "call_module":
            return self.twin.get_submodule(target)(*args, **kwargs)
        if node.op == "call_method":
            first, *rest = args
            return getattr(first, target)(*rest, **kwargs)
        return target(*args, **kwargs)

    def _check(self, node: fx.Node, value: Any) -> None:
        for carrier, tensor in zip(self._carriers[node], tensors_in((value,)), strict=False):
            expected = self.expected(carrier) if carrier.bears else None
            if expected is not None and tuple(tensor.shape) != expected:
                raise ValueError(f"names a size that must be {expected}, got {tuple(tensor.shape)}")

    def _check_labels(self, node: fx.Node, copied: fx.Node) -> None:
        """Run an operation that moves elements on their channels instead."""
        swapped: dict[fx.Node, Any] = {}
        for operand in _moved(node):
            value = self._values[self.copies[operand]]
            if isinstance(value, Tensor) and self._carriers[operand]:
                labels = self._labels(self._carriers[operand][0], value)
                swapped[self.copies[operand]] = labels.contiguous() if size_name(node).startswith("view") else labels
        found = tensors_in((self._run(copied, swapped),))
        for carrier, tensor in zip(self._carriers[node], found, strict=True):
            kept = carrier.labels[self.plan.liveness.kept[carrier.labels]]
            seen = _one_of_each(tensor, carrier)
            if not np.array_equal(seen, kept):
                raise ValueError("moves channels in a way that depends on their number")

    def _labels(self, carrier: Carrier, value: Tensor) -> Tensor:
        """Return a tensor that holds, at every element of a smaller tensor, its channel."""
        kept = self.plan.liveness.kept[carrier.labels]
        if kept.all():
            return torch.from_numpy(carrier.labels).to(value.device).expand(value.shape)
        shape = [1] * carrier.labels.ndim
        axes = [axis for axis, length in enumerate(carrier.labels.shape) if length > 1]
        if axes:
            shape[axes[0]] = int(kept.sum())
        labels = torch.from_numpy(carrier.labels[kept].reshape(shape)).to(value.device)
        return labels.expand(value.shape)


def _moved(node: fx.Node) -> list[fx.Node]:
    """Return the operands that are moved, and are no indices: those of the first argument."""
    first: list[fx.Node] = []
    fx.map_arg((node.args[:1], node.kwargs.get("input")), first.append)
    return first


def _one_of_each(labels: Tensor, carrier: Carrier) -> NDArray[np.int64]:
    axes = [axis for axis, length in enumerate(carrier.labels.shape) if length > 1]
    for axis in range(labels.dim()):
        if axis not in axes:
            labels = labels.narrow(axis, 0, 1)
    return labels.reshape(-1).cpu().numpy()


def _moves(twin: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return MODULE_RULES.get(type(twin.get_submodule(str(node.target))).__name__) is moved
    return FUNCTION_RULES.get(size_name(node)) is moved


def _attribute(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root
