"""The notebook of a trace: ties, sites, flows and steps, written by the rules while the model runs once."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate

from winnow.engine.graph.carriers import Carrier, only_along
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.partition import FIXED, Labels, Partition
from winnow.engine.graph.preserving import is_lazy, pointer
from winnow.engine.graph.records import Depthwise, Flow, Join, Mix, Product, Role, Site
from winnow.engine.graph.refusal import AS_A_TENSOR, NOT_FOLLOWED
from winnow.engine.graph.steps import Named, Opaque, Spoil, Step, Unknown, Zero

LARGEST_CONSTANT = 2**18  # entries of a parameter that may meet channels element by element


class Recording:
    """Everything that the rules find out, in the order of the forward pass."""

    def __init__(self, model: nn.Module, images: int) -> None:
        self.images, self.primary, self.evaluating = images, True, True
        self.start = 0  # where the tensors of the present pass begin
        self.first = 0  # the number of tensors of the first pass
        self.varying: set[int] = set()
        self.given: set[int] = set()  # the inputs, none of whose sizes changes
        self.partition = Partition()
        self.carriers: list[Carrier] = []
        self.sites: dict[tuple[str, int], Site] = {}
        self.constants: dict[str, Labels] = {}
        self.layer_uses: list[Product | Depthwise] = []
        self.flows: list[Flow] = []
        self.joins: list[Join] = []
        self.steps: list[Step] = []
        self.unmade: list[Labels] = []
        self.norms: list[tuple[str, int]] = []
        self.grids: list[tuple[Labels, int]] = []  # the grids that are open, and where each would be closed
        self.heads: list[Labels] = []
        self.direct: dict[str, str] = {}  # why nothing goes of what is used as a plain tensor, by the parameter's name
        self.tables: set[str] = set()  # parameters whose rows are picked by index
        self.not_understood: list[tuple[str, str]] = []
        self.whole_macs: list[tuple[str, float]] = []  # those of pinned layers, by the name of a weight
        self._named: dict[int, str] = {}
        self._names = {id(tensor): name for name, tensor in reversed(list(model.named_parameters()))}
        self._names |= {id(tensor): name for name, tensor in reversed(list(model.named_buffers()))}
        self.parameters = frozenset(id(parameter) for parameter in model.parameters())
        self._memory: dict[int, set[str]] = {}
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not is_lazy(tensor):
                self._memory.setdefault(pointer(tensor), set()).add(name)

    def name(self, tensor: Tensor | None) -> str | None:
        """Return the full name of a parameter or buffer of the model."""
        return self._names.get(id(tensor)) if tensor is not None else None

    def carrier(self, node: str, value: Tensor, labels: Labels, bears: bool) -> Carrier:
        """Enter a tensor with its labels."""
        made = Carrier(len(self.carriers), node, tuple(value.shape), labels, bears, pointer(value))
        self.carriers.append(made)
        return made

    def fixed(self, node: str, value: Tensor, zero: bool = False) -> Carrier:
        """Enter a tensor that carries no channels, one of zeros if that is known."""
        made = self.carrier(node, value, np.full((1,) * value.dim(), FIXED), bears=False)
        self.steps.append((Zero if zero else Unknown)(made.index, made.labels.shape))
        return made

    def named(self, node: str, name: str, value: Tensor) -> Carrier:
        """Enter a parameter or buffer that the forward pass uses by itself: a label for each of its elements."""
        count = value.numel()
        dense = value.is_floating_point() and value.layout == torch.strided
        if count == 1 or count > LARGEST_CONSTANT or not dense:
            made = self.fixed(node, value)
            self._named[made.index] = name
            return made
        if name not in self.constants:
            self.constants[name] = self.partition.fresh(count).reshape(tuple(value.shape))
        made = self.carrier(node, value, self.constants[name], bears=False)
        self._named[made.index] = name
        self.steps.append(Named(made.index, name, made.shape))
        return made

    def input(self, node: str, value: Tensor) -> Carrier:
        """Enter an input of the model: channels along dimension 1, which stay."""
        labels = self.unmade_labels(node.rpartition(":")[2], value.shape[1]).reshape([1, -1] + [1] * (value.dim() - 2))
        made = self.carrier(node, value, labels, bears=False)
        self.steps.append(Unknown(made.index, labels.shape))
        return made

    def unmade_labels(self, name: str, count: int) -> Labels:
        """Return new channels that no layer makes, so that none can drop them."""
        labels = self.partition.fresh(count)
        self.unmade.append(labels)
        self.joins.append(Join(name, labels))
        return labels

    def spoil(self, written: Carrier, results: set[int], place: str) -> None:
        """Note that the memory of a tensor was overwritten: of all that share it, only the results are known."""
        passed = self.carriers[self.start :]
        shared = (c.index for c in passed if c.storage == written.storage and c.index not in results)
        self.steps.append(Spoil(tuple(shared), tuple(results), place))

    def meets(self, operation: Operation, refused: str = "") -> None:
        """Note the parameters that an operation takes as plain tensors, or as those of a layer that was refused."""
        for carrier in operation.carriers():
            self.met(carrier, f"`{operation.name}`", refused)

    def met(self, carrier: Carrier, by: str, refused: str = "") -> None:
        """Note what takes the parameter that a carrier is, if it is one."""
        for name in self.named_by(carrier):
            self.direct.setdefault(name, (NOT_FOLLOWED if refused else AS_A_TENSOR).format(by, refused))

    def as_named(self, carrier: Carrier, parameter: Tensor) -> Carrier:
        """Note that a carrier is a parameter, transposed: what meets it meets the parameter."""
        if (name := self.name(parameter)) is not None:
            self._named[carrier.index] = name
        return carrier

    def returned(self, ends: dict[str, Carrier]) -> dict[str, Carrier]:
        """Note the parameters among what the model returns."""
        for carrier in ends.values():
            self.met(carrier, "what the model returns")
        return ends

    def named_by(self, carrier: Carrier) -> set[str]:
        """Return the name of the parameter or buffer that a carrier is, in a set; an empty one if it is none."""
        return {self._named[carrier.index]} if carrier.index in self._named else set()

    def shares(self, tensor: Tensor) -> set[str]:
        """Return the parameters and buffers that a plain tensor shares its memory with; they are used directly."""
        found = self._memory.get(pointer(tensor), set()) if tensor.numel() else set()
        self.direct = dict.fromkeys(found, AS_A_TENSOR.format("a tensor of its memory")) | self.direct
        return found

    def pinned(self, operation: Operation, reason: str, layer: bool = False) -> Any:
        """Return the result of an operation that is not understood: all that it takes stays, and all that it gives.

        Where no output needs the result, it is dead code, and what it takes may go. `layer`: it is one, and refused.
        """
        self.meets(operation, reason if layer else "")
        self.not_understood.append((operation.place, reason))
        sources = [carrier.labels.ravel() for carrier in operation.carriers()]
        labels = self.unmade_labels(operation.place, 1)
        if sources and (every := np.unique(np.concatenate(sources))).any():
            self.flows.append(Mix(operation.place, reason, every, labels, operation.node))
        origins = tuple(carrier.index for carrier in operation.carriers())

        def one(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            made = self.result(operation, labels.reshape((1,) * leaf.dim()), leaf)
            self.steps.append(Opaque(made.index, origins, True, made.labels.shape))
            return made

        return map_aggregate(operation.result, one)

    def pin(self, operation: Operation) -> None:
        """Enter the channels that an operation has tied to something that cannot shrink."""
        if len(pinned := self.partition.pinned()):
            reason = "combines it with something of a fixed number of channels"
            self.mix(operation, reason, [pinned], np.array([FIXED]))

    def along(self, carrier: Carrier, axis: int) -> Labels:
        """Return the channels along one axis of a tensor, (extent,); labels that differ elsewhere become one."""
        found = self.partition.tie_except(carrier.labels, axis)
        return np.broadcast_to(found, (carrier.shape[axis],))

    def tie_blocks(self, labels: Labels, blocks: int) -> None:
        """Tie the channels at the same position of each block, so that the blocks stay equal."""
        parts = labels.reshape(blocks, -1)
        self.partition.tie(parts[:1], parts)

    def site(self, use: tuple[str, Role], parameter: str, axis: int, labels: Labels) -> Labels:
        """Enter an axis of a parameter with the channels along it; a second use ties the two."""
        known = self.sites.get((parameter, axis))
        if known is None:
            layer, role = use
            self.sites[(parameter, axis)] = Site(layer, parameter, axis, role, labels)
            return labels
        self.partition.tie(known.channels, labels)
        return known.channels

    def rows(self, use: tuple[str, Role], parameter: str, axis: int, count: int) -> Labels:
        """Return the channels that a layer makes: new ones, or those of the layer's first use."""
        known = self.sites.get((parameter, axis))
        return known.channels if known is not None else self.site(use, parameter, axis, self.partition.fresh(count))

    def mix(self, operation: Operation, reason: str, sources: list[Labels], results: Labels) -> None:
        """Enter that every result depends on every source."""
        every = np.unique(np.concatenate([labels.ravel() for labels in sources]))
        if (every != FIXED).any():
            self.flows.append(Mix(operation.place, reason, every, np.unique(results), operation.node))

    def result(self, operation: Operation, labels: Labels, value: Tensor | None = None) -> Carrier:
        """Enter the result of an operation on carriers (or a part of it)."""
        bears = any(carrier.bears for carrier in operation.carriers())
        return self.carrier(operation.node, operation.result if value is None else value, labels, bears)

    def layer_result(self, operation: Operation, channels: Labels, axis: int) -> Carrier:
        """Enter the output of a layer with weights; `axis` counts from the end."""
        value = operation.result
        return self.carrier(operation.node, value, only_along(axis, channels, value.dim()), bears=True)


def kernel_size(weight: Tensor) -> int:
    """Return the number of weights per (row, column)."""
    return math.prod(weight.shape[2:])
