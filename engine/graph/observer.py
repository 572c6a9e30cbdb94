"""The observer: a model runs as it is, on real tensors, and every operation is followed once, in order.

Two nets are cast. Torch's own functions are caught as they are called (`F.linear`, `x + y`, `x[:, :4]`), so that rules
see what the user wrote; functions composed of others that no rule knows are opened. Whatever reaches torch's
dispatcher otherwise (scripted code, kernels of others) is caught beneath. The program itself sees plain tensors and
numbers, so that any Python, any container and any library works, and nothing is left behind.

What memory an operation wrote to is read off torch's version counters, which every operator advances that declares in
its schema that it writes.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.following import Effects, followed
from winnow.engine.graph.functions import (
    COUNTED,
    INDEXING,
    NUMBERS,
    NUMERIC,
    PASSIVE,
    SIZES,
    VALUES,
    as_layer,
    name_of,
    opened,
    opens,
    rescales,
)
from winnow.engine.graph.memory import Memory
from winnow.engine.graph.multi_head import multi_head_attention
from winnow.engine.graph.narrow_norms import NARROW_LAYERS
from winnow.engine.graph.operation import Operation, carriers_in, tensors_in
from winnow.engine.graph.paths import Paths
from winnow.engine.graph.preserving import Preserved
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.rules import MODULE_RULES, WEIGHTED, rule_named
from winnow.engine.graph.signature import RANDOM, Signature
from winnow.engine.graph.sized import Observations, Origin, origins_in, plain_size, sized

CONTROL = "flow of control that depends on the values of a tensor"
DECIDE = "decide by sizes or options, or use torch.where"
TAKEN_OUT = "a number taken out of a tensor cannot be followed, so keep it a tensor"
INFERENCE = ("torch.inference_mode", "it keeps no record of what is written, so use torch.no_grad")
WRITES = "writes into it in a way that the channel graph does not follow"


@dataclass(frozen=True)
class GraphEvent:
    """An operation of a pass: the name of its node (as in `Carrier.node`), its own, and the module that ran it."""

    node: str
    name: str
    path: str


class Observer(TorchFunctionMode):
    """Watches one pass of a model; with `drawing`, every operation is followed, else only its signature is taken."""

    def __init__(self, model: nn.Module, recording: Recording, state: Preserved, call: int, drawing: bool) -> None:
        super().__init__()
        self.recording, self.call, self.drawing = recording, call, drawing
        self.paths = Paths(model)
        self.book = Observations(lambda: self.paths.path)
        self.events: list[GraphEvent] = []
        self.signature = Signature(recording)
        self.memory = Memory(recording)
        self.beneath = _Beneath(self)
        self._state = state
        self._opening: list[Any] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function of torch and follow it."""
        kwargs, name = dict(kwargs or {}), name_of(func)
        if name == "_set_grad_enabled" and not all(args):
            self.book.context("no_grad")
        if name in PASSIVE:
            return self._passive(name, func, args, kwargs)
        name, func, args, kwargs = as_layer(name, func, args, kwargs)
        if name == "multi_head_attention_forward":
            with self:
                return multi_head_attention(*args, **kwargs)
        closed = rule_named(name) is None or rescales(name, args, kwargs)
        if closed and opens(func) and func not in self._opening:  # one that asks again inside is left as it is
            self._opening.append(func)
            try:
                with self:
                    return opened(func)(*args, **kwargs)
            finally:
                self._opening.pop()
        return self.operate(name, func, args, kwargs)

    def operate(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation, and follow its channels."""
        if numbers := origins_in((args, kwargs)):
            args, kwargs = plain_size(args), plain_size(kwargs)
            if self.drawing and _takes_numbers(name):
                self.book.number(numbers | self._cut(name, args, numbers))
        if torch._C._is_any_autocast_enabled():
            self.book.context("autocast")
        given = tensors_in((args, kwargs))
        self._about_to_write(name, given, kwargs)
        before = [self._version(tensor) for tensor in given]
        with torch._C._DisableTorchDispatch():
            if name in VALUES:
                self._value_taken(name, given)
            result = func(*args, **kwargs)
            written = [t for t, version in zip(given, before, strict=True) if self._version(t) != version]
            written = given[:1] if name == "set data" else written
            if tensors_in((result,)) or written:
                self._made(name, func, (args, kwargs), result, written)
        return result

    def _cut(self, name: str, args: tuple[Any, ...], numbers: frozenset[Origin]) -> frozenset[Origin]:
        """Return the axes with channels of a tensor that is cut at a place computed from a number of channels."""
        counts = any(isinstance(source, str) or self._across(source, axis) for source, axis in numbers)
        if name.rstrip("_") not in INDEXING or not counts or not isinstance(args[0], Tensor):
            return frozenset()
        carrier = self.memory.carrier(args[0], self.paths.path, name)
        return frozenset((carrier.index, axis) for axis, length in enumerate(carrier.labels.shape) if length > 1)

    def _across(self, source: int, axis: int) -> bool:
        """Whether a size may become another one: channels lie along it, and not those of an input as it was given."""
        return source not in self.recording.given and self.recording.carriers[source].labels.shape[axis] > 1

    def _about_to_write(self, name: str, given: list[Tensor], kwargs: Mapping[str, Any]) -> None:
        if name.endswith("_") or name.startswith("set") or "out" in kwargs or "::" in name or name == "numpy":
            for tensor in given:
                self._state.about_to_write(tensor)

    def enter_inputs(self, named: Iterable[tuple[str, Tensor]]) -> dict[str, Carrier]:
        """Enter the inputs of the call."""
        found = {}
        for name, tensor in named:
            self.signature.enter_input(name, tensor)
            if self.drawing:
                enter = self.recording.input if tensor.dim() > 1 else self.recording.fixed
                found[name] = carrier = self.memory.remember(tensor, enter(f"{self.call}:{name}", tensor))
                self.recording.varying.add(carrier.index)
                self.recording.given.add(carrier.index)
        return found

    def ends(self, named: list[tuple[str, Tensor]]) -> dict[str, Carrier]:
        """Enter what the call returns."""
        self.signature.mark_end(named)
        if not self.drawing:
            return {}
        node = f"{self.call}:output"
        return self.recording.returned({name: self.memory.carrier(tensor, "", node) for name, tensor in named})

    def _made(self, name: str, func: Any, given: tuple[Any, Any], result: Any, written: list[Tensor]) -> None:
        """Note an operation that made or changed a tensor."""
        path, (args, kwargs) = self.paths.path, given
        results = tensors_in((result,))
        if any(tensor.is_nested for tensor in results):
            raise NotTraceable(path, "a nested tensor", "pad its parts to one length, and mask what is padding")
        known = {id(tensor) for tensor in results}
        changed = [t for t in written if id(t) not in known and self.recording.name(t) is None]
        self.signature.enter(name, path, given, [*results, *changed])
        if not self.drawing:
            return
        node = f"{self.call}:{len(self.events)}:{name}"
        self.events.append(GraphEvent(node, name, path))
        weighted = rule_named(name) in WEIGHTED
        carried = self._carried(given, node, weighted)
        result = args[0] if name == "setitem" else result
        result = written[0] if result is None else result
        short = name.removeprefix("aten::")
        operation = Operation(path, node, short, func, None, args, kwargs, *carried, result, self._leaf())
        if name in COUNTED and any(c.index in self.recording.varying for c in operation.carriers()):
            self.book.decided("value")
        self._follow(operation, written, weighted)

    def _follow(self, operation: Operation, written: list[Tensor], weighted: bool) -> None:
        given, node = (operation.args, operation.kwargs), operation.node
        whole = (lambda: self._carried(given, node, False)) if weighted else None
        carriers = [found for tensor in written if (found := self.memory.known(tensor)) is not None]
        unsteady = any(part in operation.name for part in RANDOM)
        unsteady = unsteady or any(carrier.index in self.recording.varying for carrier in operation.carriers())
        found = followed(self.recording, operation, Effects(carriers, whole))
        results = tensors_in((operation.result,))
        for tensor, carrier in zip(results, carriers_in((found,)), strict=True):
            self._remember(tensor, carrier, unsteady)
        for tensor in written:
            statistics = weighted and self.recording.name(tensor) is not None
            if not statistics and not any(tensor is part for part in results):
                args, kwargs = self._carried(given, node, False)
                changed = replace(operation, carried_args=args, carried_kwargs=kwargs, result=tensor)
                made = self._remember(tensor, self.recording.pinned(changed, WRITES), unsteady=True)
                self.recording.spoil(made, {made.index}, operation.place)

    def _remember(self, tensor: Tensor, carrier: Carrier, unsteady: bool) -> Carrier:
        self.memory.remember(tensor, carrier)
        if unsteady:
            self.recording.varying.add(carrier.index)
        return carrier

    def _carried(self, given: tuple[Any, Any], node: str, weighted: bool) -> tuple[Any, Any]:
        """Return arguments with carriers for tensors; the plain weights of a layer stay tensors, its input does not."""

        def carrier(leaf: Any) -> Any:
            return self.memory.carrier(leaf, self.paths.path, node) if isinstance(leaf, Tensor) else leaf

        def weight(leaf: Any) -> Any:
            return leaf if isinstance(leaf, Tensor) and self.memory.weight(leaf) else carrier(leaf)

        args, kwargs = given
        if not weighted:
            return map_aggregate(args, carrier), map_aggregate(kwargs, carrier)
        named = {key: (carrier if key == "input" else weight)(leaf) for key, leaf in kwargs.items()}
        return (*map_aggregate(args[:1], carrier), *map_aggregate(args[1:], weight)), named

    def _leaf(self) -> bool:
        kind = type(self.paths.module)
        own = kind.__module__.startswith("torch.nn.modules") and kind.__name__ in MODULE_RULES
        return own or kind.__name__ in NARROW_LAYERS

    def _passive(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with torch._C._DisableTorchDispatch():
            result = func(*args, **kwargs)
            if name in ("requires_grad", "grad_fn") and not isinstance(args[0], nn.Parameter):
                self.book.asked_gradients()
            if name in SIZES and self.drawing and args and isinstance(args[0], Tensor):
                return self._sized(result, args[0], [*args[1:], *kwargs.values()])
            return result

    def _sized(self, result: Any, tensor: Tensor, rest: list[Any]) -> Any:
        """Return sizes that remember their axes."""
        known = self.memory.known(tensor)
        source: int | str | None = known.index if known is not None else self.recording.name(tensor)
        if source is None:
            return result
        book, count = weakref.ref(self.book), tensor.dim()
        if isinstance(result, torch.Size):
            return torch.Size([sized(n, frozenset([(source, axis)]), book) for axis, n in enumerate(result)])
        axes = [int.__index__(rest[0]) % count] if rest else range(count)
        return sized(result, frozenset((source, axis) for axis in axes), book)

    def _value_taken(self, name: str, given: list[Tensor]) -> None:
        """Note that a value becomes a number of Python.

        Raises:
            NotTraceable: it is one that a layer made.

        """
        if not self.drawing:
            return
        carriers = [self.memory.carrier(tensor, self.paths.path, f"{self.call}:{name}") for tensor in given]
        if any(carrier.bears for carrier in carriers):
            short = name.strip("_").removeprefix("aten::")
            told = (f"`{short}`", TAKEN_OUT) if name in NUMBERS else (CONTROL, DECIDE)
            raise NotTraceable(self.paths.path, *told)
        if any(carrier.index in self.recording.varying for carrier in carriers):
            self.book.decided("value")
        for carrier in carriers:
            self.recording.met(carrier, f"`{name}`")

    def _version(self, tensor: Tensor) -> int:
        if tensor.is_inference():
            raise NotTraceable(self.paths.path, *INFERENCE)
        return tensor._version


class _Beneath(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Catches what reaches the dispatcher and was not seen as a function of torch."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self._observer = observer

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside, so torch need not load its compiler (seconds) to leave this class out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            return self._observer.operate(name_of(func), func, args, dict(kwargs or {}))


def _takes_numbers(name: str) -> bool:
    """Whether the sizes that an operation is given count as numbers, and not as sizes of what it makes.

    A place computed from a number of channels (`x[:, : c // 2]`) would be another place in a smaller model.
    """
    rule = rule_named(name)
    return rule is None or name.rstrip("_") in (*NUMERIC, *INDEXING) or rule.__name__ == "pointwise"
