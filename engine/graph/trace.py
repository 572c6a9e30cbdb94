"""`trace(model, example_inputs)`: the model runs on its calls, and its channel graph is drawn.

Every call is run in evaluation and in training mode, unless it names one; what any of them reads is needed. A pass
that does what an earlier one did adds nothing and is not drawn. The passes are without gradients; afterwards the model
is what it was (`engine.graph.preserving`), the example too, and torch's random state is put back.
"""

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from winnow.engine.graph.building import Passes, built_graph
from winnow.engine.graph.calls import Call, calls, length_of, naming_numbers, outputs, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.drawing import Drawn, drawn
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.memory import refuse_shared
from winnow.engine.graph.modes import evaluating, in_mode, told_of_gradients
from winnow.engine.graph.observer import Observer
from winnow.engine.graph.own_norms import as_norms
from winnow.engine.graph.preserving import Preserved, Writes, is_lazy, preserved
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentStep
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.signature import Signature
from winnow.engine.graph.sized import Context
from winnow.engine.graph.weighing import weigh
from winnow.engine.graph.wrappers import refuse_compiled, unwrapped


def trace(model: nn.Module, example_inputs: Any, *, program: bool = False) -> ChannelGraph:
    """Return the channel graph of a model.

    Args:
        model: any module whose forward returns tensors, in containers of any kind. Wrappers are removed.
        example_inputs: what `engine.graph.calls.calls` takes: a tensor, positional or named inputs, or `Call`s.
        program: whether to draw the program too (`ChannelGraph.fx_graph`), where torch.fx can.

    Raises:
        NotTraceable: the flow of control depends on values that layers compute, the model returns no tensor, or its
            forward pass changes it for good.
        ValueError: the inputs do not fit the forward pass, in number, type or device.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> graph = trace(net, torch.ones(1, 4))
        >>> int(graph.channels()["removable"].sum())  # every weight is in use
        0

    """
    inner, said = unwrapped(model)
    refuse_compiled(inner)
    refuse_shared(inner)
    given = calls(inner, example_inputs)
    _has_weights(inner)
    with as_norms(inner), preserved(inner) as state, evaluating(inner), torch.no_grad(), _eager():
        passes = _Passes(inner, state, program)
        for call in given:
            for one in call.modes():
                passes.add(one, asked=call.training is not None)
    graph = built_graph(inner, passes.found(given, said))
    return replace(graph, whole_macs=(*graph.whole_macs, *_of_no_layer(graph, given[0])))


def _of_no_layer(graph: ChannelGraph, call: Call) -> list[tuple[str, float]]:
    """Return the MACs of weights that no layer has: computed at each pass, sliced, or taken by what has no rule."""
    counted = {product.weight for product in graph.products} | {layer.weight for layer in graph.depthwise}
    counted |= set(graph.unused)
    for step in graph.steps:
        levels = step.levels if isinstance(step, RecurrentStep | CellStep) else ()
        counted |= {name for level in levels for name in (level.weight_ih, level.weight_hh)}
    whole = tuple("".join(name.rpartition(".")[:2]) for name, _ in graph.whole_macs)  # and what computes their weights
    tables = {
        path for path, module in graph.model.named_modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    left = [
        name
        for name, weight in graph.model.named_parameters()
        if weight.dim() > 1
        and name not in counted
        and name.rpartition(".")[0] not in tables
        and not name.startswith(whole)
    ]
    if not left:
        return []
    try:
        macs = weigh(graph.model, call)[1]
    except Exception:  # noqa: BLE001 - a model that does not run in evaluation mode, of which nothing is known then
        macs = dict.fromkeys(left, math.nan)
    return [(name, macs[name]) for name in left if macs[name]]


class _Passes:
    """The passes of a model so far, in one recording."""

    def __init__(self, model: nn.Module, state: Preserved, program: bool) -> None:
        self._model, self._state, self._program = model, state, program
        self._random, self._fresh = torch.get_rng_state(), True
        self._recording = Recording(model, 1)
        self._drawn: Drawn | None = None
        self._observers: list[Observer] = []
        self._signatures: list[Any] = []
        self._used: set[str] = set()
        self._ends: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
        self._not_run: list[str] = []
        self._modes_alike, self._evaluated = True, Signature(self._recording)
        self._asked = dict[Context, None]()

    def add(self, call: Call, asked: bool) -> None:
        """Run a call in its mode, and draw it if it does something new."""
        first = not self._signatures
        if first and self._program:
            self._draw_program(call)
        if not first and self._repeats(call, asked):
            return
        recording = self._recording
        recording.primary = first and self._drawn is None
        recording.images, recording.start = max(length_of(call), 1), len(recording.carriers)
        recording.evaluating = not call.training
        observer = Observer(self._model, recording, self._state, len(self._observers), drawing=True)
        inputs, found = self._observed(observer, call)
        if recording.primary:
            recording.first = len(recording.carriers)
        self._compare_modes(call, observer.signature)
        self._observers.append(observer)
        self._signatures.append(observer.signature.entries)
        self._used |= observer.memory.used | observer.signature.used
        self._ends.append((inputs, found))

    def found(self, given: tuple[Call, ...], said: tuple[str, ...]) -> Passes:
        """Return all that the passes gave."""
        books = [observer.book for observer in self._observers]
        return Passes(
            recording=self._recording,
            ends=self._ends,
            drawn=self._drawn,
            calls=given,
            events=tuple(event for observer in self._observers for event in observer.events),
            contexts=tuple(
                dict.fromkeys([*contexts_of(self._model), *(c for book in books for c in book.contexts), *self._asked])
            ),
            decisions=tuple(dict.fromkeys(decision for book in books for decision in book.decisions)),
            numbers={origin: path for book in books for origin, path in book.numbers.items()},
            unused=tuple(name for name, _ in self._model.named_parameters() if name not in self._used),
            notes=(*said, *self._not_run),
            modes_alike=self._modes_alike and not self._state.rewritten,
            rewritten=tuple(self._state.rewritten),
        )

    def _compare_modes(self, call: Call, signature: Signature) -> None:
        """Note whether a pass in training mode computes what the one in evaluation mode before it did."""
        if call.training:
            before = self._evaluated
            same = (signature.entries, signature.flags) == (before.entries, before.flags)
            self._modes_alike = self._modes_alike and same
        else:
            self._evaluated = signature

    def _repeats(self, call: Call, asked: bool) -> bool:
        """Whether a pass does what an earlier one did, or cannot be run in a mode that nobody asked for."""
        watcher = Observer(self._model, self._recording, self._state, -1, drawing=False)
        try:
            self._observed(watcher, call)
        except NotTraceable:
            raise
        except Exception as error:
            if asked or not call.training:
                raise
            problem = f"{type(error).__name__}: {error}".partition("\n")[0]
            self._not_run.append(
                f"training mode was not run ({problem}), so it is unknown what is used in training mode only"
            )
            self._modes_alike = False
            return True
        self._used |= watcher.signature.used
        self._compare_modes(call, watcher.signature)
        return watcher.signature.entries in self._signatures

    def _observed(self, observer: Observer, call: Call) -> tuple[Any, Any]:
        """Run a call under an observer; return the carriers of its inputs and outputs by their paths."""
        self._again()
        copied = _copied(call)
        named = {name: value for name, (_, value) in copied.named(self._model).items()}
        inputs = observer.enter_inputs(flatten(named))
        mode, named_errors = in_mode(self._model, bool(call.training)), naming_numbers(self._model, call)
        told = told_of_gradients(observer.book.asked_gradients)
        with mode, named_errors, observer.paths, observer.beneath, observer, told:
            result = run(self._model, copied)
        self._asked |= {context: None for context in observer.book.contexts if context.kind == "gradients"}
        found = outputs(self._model, result)
        return inputs, observer.ends(found)

    def _draw_program(self, call: Call) -> None:
        recording = Recording(self._model, max(length_of(call), 1))
        try:
            self._again()
            with in_mode(self._model, training=False), Writes(self._state):
                expected = run(self._model, _copied(call))
            self._again()
            with in_mode(self._model, training=False), Writes(self._state):
                self._drawn = drawn(self._model, recording, _copied(call), expected)
        except NotTraceable as error:
            self._not_run.append(f"no program: {error}")
            return
        recording.first = len(recording.carriers)
        self._recording = recording
        self._ends.append((self._drawn.inputs, self._drawn.result))

    def _again(self) -> None:
        """Put the model, its modes too, and the random state back to where they were."""
        if not self._fresh:
            self._state.restore()
            torch.set_rng_state(self._random)
        self._fresh = False


def contexts_of(model: nn.Module) -> Iterator[Context]:
    """Yield the modules whose calls do more than their forward: hooks, and weights that are computed."""
    for name, module in model.named_modules():
        if is_parametrized(module):
            yield Context(name, "parametrization")
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            yield Context(name, "hook")


def _copied(call: Call) -> Call:
    """Return a call on copies of its tensors: equal ones stay one tensor, and what the pass writes stays in it."""
    copies: dict[int, Tensor] = {}
    return call.changed(lambda leaf: copies.setdefault(id(leaf), leaf.detach().clone()))


def _eager() -> AbstractContextManager[Any]:
    """Run what is compiled as it was written; where the compiler was never loaded, nothing is compiled."""
    loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()


def _has_weights(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise NotTraceable(name.rpartition(".")[0], "a parameter without a shape", "run the model once before")
    for name, module in model.named_modules():
        weight = module._parameters.get("weight") if isinstance(module, nn.Linear | _ConvNd) else None
        if weight is not None and not weight.numel():
            raise NotTraceable(name, "a weight without entries", "leave the layer out")


def named_inputs(model: nn.Module, example_inputs: Any) -> dict[str, Any]:
    """Return example inputs by the names of the forward pass's arguments; see `engine.graph.calls` for any call."""
    if isinstance(example_inputs, Mapping):
        return dict(example_inputs)
    positional = example_inputs if isinstance(example_inputs, tuple | list) else (example_inputs,)
    return dict(inspect.signature(model.forward).bind(*positional).arguments)
