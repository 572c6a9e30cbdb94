"""Whether a shrunk copy runs as its own class: every operation must give the channels that stay, and no others.

The copy is run as the model was when its graph was drawn, operation by operation beside it. What moves channels is run
on their labels besides, so that no offset can be wrong. Where an operation does not fit (its code names a number of
channels), the channels around it stay, and the user is told which and why.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate

from winnow.engine.graph.calls import Call, in_modes, run
from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.memory import TensorTable
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.movement import moved
from winnow.engine.graph.observer import Observer
from winnow.engine.graph.operation import tensors_in
from winnow.engine.graph.own_norms import as_norms
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.preserving import state_kept
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.rules import rule_named
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.plan import Plan, above, observed, places
from winnow.engine.pruning.proof import NotExact
from winnow.engine.pruning.selecting import NARROWED, Zeros, fit_plain_norm

NUMBER = "its code names a number of channels"
MOVED = ("input", "tensors")
ORDER = "moves channels in a way that depends on their number"


class Unfit(Exception):  # noqa: N818 - a message to whoever plans, never seen outside
    """An operation that does not run with fewer channels; `channels` are those to keep for it, `path` its module."""

    def __init__(self, place: str, reason: str, channels: Labels, path: str = "") -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason, self.channels, self.path = place, reason, channels, path


def fit_all(plan: Plan, twin: nn.Module, calls: Sequence[Call], but: Sequence[str] = ()) -> None:
    """Run a shrunk copy on every call in its modes, and compare what each operation gives with the plan.

    What runs in the modules `but` is not compared operation by operation: they run otherwise.

    Raises:
        Unfit: an operation gives other channels, or does not run.

    """
    otherwise = (path for path, module in twin.named_modules() if isinstance(module, NARROWED))
    passes = _Passes(plan, frozenset([*but, *otherwise]))
    modes = [call for call in in_modes(calls) if not (call.training and plan.graph.modes_alike)]
    for call in modes or in_modes(calls):  # where the modes are alike, one of them tells
        with as_norms(twin), state_kept(twin) as state, torch.no_grad():
            _fit(twin, call, _Fitting(twin, state, passes), passes)


def _fit(twin: nn.Module, call: Call, watcher: "_Fitting", passes: "_Passes") -> None:
    copied = call.changed(lambda leaf: leaf.detach().clone())
    try:
        with in_mode(twin, bool(call.training)), watcher.paths, watcher.beneath, watcher:
            run(twin, copied)
    except Unfit:
        raise
    except Exception as error:
        if not passes.follows_to_the_end(watcher.done) and (watcher.done or not call.training):
            raise watcher.unfit(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


class _Passes:
    """What the operations of the model's passes gave, in order, and what is left of it."""

    def __init__(self, plan: Plan, but: frozenset[str]) -> None:
        self.but = but
        self.kept: Flags = plan.liveness.kept
        self.places = places(plan.graph)
        self.carriers: dict[str, list[Carrier]] = defaultdict(list)
        for carrier in plan.graph.carriers:
            if observed(carrier):
                self.carriers[carrier.node].append(carrier)
        self.events: dict[str, list[Any]] = defaultdict(list)
        for event in plan.graph.events:
            if self.passes_over(event.path):
                continue
            self.events[event.node.partition(":")[0]].append(event)

    def passes_over(self, path: str) -> bool:
        """Whether a module runs otherwise than the model's."""
        return bool(above(path) & self.but)

    def expected(self, carrier: Carrier) -> tuple[int, ...] | None:
        """Return the shape of a tensor with the channels that stay, None where they have no single axis."""
        return expected_shape(carrier, self.kept)

    def follows_to_the_end(self, done: int) -> bool:
        """Whether a pass that ended here ended where the model's own did."""
        return any(len(events) == done for events in self.events.values())


def expected_shape(carrier: Carrier, kept: Flags) -> tuple[int, ...] | None:
    """Return the shape of a tensor with the channels that stay, None where they have no single axis."""
    labels = squeezed(carrier.labels)
    axes = [axis for axis, length in enumerate(labels.shape) if length > 1]
    shape = list(carrier.shape)
    if len(axes) > 1:
        return None
    if axes:
        shape[axes[0]] = int(kept[labels].sum())
    return tuple(shape)


class _Fitting(Observer):
    """Watches a shrunk copy, and looks at each operation's result."""

    def __init__(self, twin: nn.Module, state: Any, passes: _Passes) -> None:
        super().__init__(twin, Recording(nn.Module(), 1), state, -1, drawing=False)
        self.passes, self.done = passes, 0
        self._likely = list(passes.events)
        self._known = TensorTable()
        self._last: list[Carrier] = []

    def operate(self, name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation; one that fails does not fit."""
        try:
            return super().operate(name, func, args, kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            if self.passes.passes_over(self.paths.path):
                raise
            if self._next(name) is None or not any(True for _ in self._shrunk((args, kwargs))):
                raise
            self._last = self._given((args, kwargs))
            raise self.unfit(f"{NUMBER} ({str(error).partition(chr(10))[0][:160]})", name) from error

    def unfit(self, reason: str, name: str = "") -> Unfit:
        """Return what says that an operation, or the code behind the last one, does not fit."""
        event = self._next(name)
        carriers = [*self._last, *(self.passes.carriers[event.node] if event is not None else ())]
        labels = [carrier.labels.ravel() for carrier in carriers]
        place = self.passes.places.get(event.node, name) if event is not None else self.paths.path or "the model"
        path = event.path if event is not None else self.paths.path
        return Unfit(place, reason, np.unique(np.concatenate([np.zeros(1, np.int64), *labels])), path)

    def _made(self, name: str, func: Any, given: tuple[Any, Any], result: Any, written: list[Tensor]) -> None:
        if self.passes.passes_over(self.paths.path):
            return
        event = self._next(name)
        self.done += 1
        if event is None:
            return
        made = [*tensors_in((result,))] or written[:1]
        carriers = self.passes.carriers[event.node]
        self._last = [*self._given(given), *carriers]
        if len(made) == len(carriers):
            for carrier, tensor in zip(carriers, made, strict=True):
                self._known[tensor] = carrier
                self._check(carrier, tensor)
            self._check_order(name, func, given, carriers)

    def _next(self, name: str) -> Any:
        """Return the operation of the model's pass that is next, None where the copy went another way."""
        found = [key for key in self._likely if self.done < len(self.passes.events[key])]
        found = [key for key in found if not name or self._alike(self.passes.events[key][self.done], name)]
        self._likely = found
        return self.passes.events[found[0]][self.done] if found else None

    def _alike(self, event: Any, name: str) -> bool:
        return bool(event.name == name and event.path == self.paths.path)

    def _check(self, carrier: Carrier, tensor: Tensor) -> None:
        expected = self.passes.expected(carrier) if carrier.bears else None
        if expected is None or len(expected) != tensor.dim():
            return
        axes = [axis for axis, length in enumerate(squeezed(carrier.labels).shape) if length > 1]
        if any(tensor.shape[axis] != expected[axis] for axis in axes):
            raise self._failed(f"{NUMBER}: it must give {expected}, got {tuple(tensor.shape)}")

    def _check_order(self, name: str, func: Any, given: tuple[Any, Any], carriers: list[Carrier]) -> None:
        """Run an operation that moves elements on their channels instead."""
        if rule_named(name) is not moved or not any(self._shrunk((*given, carriers))):
            return
        args, kwargs = given
        first = [*args[:1], *(kwargs[key] for key in MOVED if key in kwargs)]
        if any(tensor not in self._known for tensor in tensors_in(first)):
            return  # a parameter among them, say: the outputs are compared anyway
        named = {key: self._labelled(part) if key in MOVED else part for key, part in kwargs.items()}
        try:
            with torch._C.DisableTorchFunction():
                found = tensors_in((func(*self._labelled(args[:1]), *args[1:], **named),))
        except (RuntimeError, ValueError, TypeError):
            return  # a form that takes no whole numbers
        for carrier, tensor in zip(carriers, found, strict=False):
            labels = squeezed(carrier.labels)
            kept = labels[self.passes.kept[labels]]
            if not np.array_equal(_one_of_each(tensor, labels), kept):
                raise self._failed(ORDER)

    def _labelled(self, structure: Any) -> Any:
        return map_aggregate(structure, lambda leaf: self._labels(leaf) if isinstance(leaf, Tensor) else leaf)

    def _labels(self, tensor: Tensor) -> Tensor:
        """Return a tensor that holds, at every element of a smaller tensor, its channel."""
        labels = squeezed(self._known[tensor].labels)
        kept, shape = self.passes.kept[labels], [1] * labels.ndim
        axes = [axis for axis, length in enumerate(labels.shape) if length > 1]
        if len(axes) > 1:
            return torch.from_numpy(labels).to(tensor.device).expand(tensor.shape)
        if axes:
            shape[axes[0]] = int(kept.sum())
        found = torch.from_numpy(labels[kept].reshape(shape) if axes else labels).to(tensor.device)
        return found.expand(tensor.shape).contiguous()

    def _given(self, given: Any) -> list[Carrier]:
        return [found for tensor in tensors_in(given) if (found := self._known.get(tensor)) is not None]

    def _shrunk(self, given: Any) -> Any:
        """Yield whether tensors among what is given lost channels."""
        carriers = [*self._given(given[:2]), *(given[2] if len(given) > 2 else ())]
        return (True for carrier in carriers if not self.passes.kept[carrier.labels].all())

    def _failed(self, reason: str) -> Unfit:
        self.done -= 1
        found = self.unfit(reason)
        self.done += 1
        return found


def _one_of_each(found: Tensor, labels: Labels) -> Labels:
    for axis in range(found.dim()):
        if axis >= labels.ndim or labels.shape[axis] == 1:
            found = found.narrow(axis, 0, 1)
    return found.reshape(-1).cpu().numpy()


def settle_shapes(graph: ChannelGraph, twin: nn.Module, kept: Flags) -> None:
    """Give layers without weights that hold a number of channels the number that stays."""
    modules: Mapping[str, Any] = dict(twin.named_modules())
    by_node: dict[str, list[Carrier]] = defaultdict(list)
    for carrier in graph.carriers:
        by_node[carrier.node].append(carrier)
    for event in graph.events:
        layer = modules.get(event.path)
        shape = expected_shape(by_node[event.node][0], kept) if by_node[event.node] else None
        if shape is None:
            continue
        if isinstance(layer, nn.modules.instancenorm._InstanceNorm) and not layer.affine:
            norm: Any = layer
            norm.num_features = shape[-norm._get_no_batch_dim()]
        plain = getattr(layer, "weight", 0) is None
        if plain and isinstance(layer, nn.LayerNorm | nn.RMSNorm) and len(layer.normalized_shape) == 1:
            fit_plain_norm(layer, shape[-1])
        if isinstance(layer, Zeros):
            layer.width = shape[-1]
        if isinstance(layer, nn.Unflatten):
            unflatten: Any = layer
            sizes = unflatten.unflattened_size
            start = unflatten.dim % (len(shape) - len(sizes) + 1)
            unflatten.unflattened_size = sizes if -1 in sizes else shape[start : start + len(sizes)]


def kept_around(plan: Plan, unfit: Unfit) -> Plan:
    """Return the plan with the channels around an operation kept; else those of its module, else all of them."""
    try:
        return plan.keeping(unfit.channels, unfit.place, unfit.reason)
    except ValueError:
        within = [site.channels for site in plan.graph.sites if unfit.path and unfit.path in above(site.layer)]
        channels = np.unique(np.concatenate([np.zeros(1, np.int64), *within]))
        if plan.liveness.kept[channels].all():
            channels = np.arange(plan.graph.count)
        if plan.liveness.kept.all():
            raise NotExact(f"`model` must run when it is copied, got {unfit}. Keep the model as it is.") from unfit
        return plan.keeping(channels, unfit.place, unfit.reason)
