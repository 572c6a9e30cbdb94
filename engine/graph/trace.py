"""`trace(model, example_inputs)`: the model runs on its calls, and its channel graph is drawn.

Every call is run in evaluation and in training mode, unless it names one; what any of them reads is needed. A pass
that does what an earlier one did adds nothing and is not drawn. The passes are without gradients; afterwards the model
is what it was (`engine.graph.preserving`), the example too, and torch's random state is put back.
"""

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from winnow.engine.graph.building import Passes, built_graph
from winnow.engine.graph.calls import Call, calls, length_of, naming_numbers, on_copies, outputs, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.drawing import Drawn, drawn
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.memory import refuse_shared
from winnow.engine.graph.modes import evaluating, in_mode, told_of_gradients
from winnow.engine.graph.observer import Observer
from winnow.engine.graph.own_norms import as_norms
from winnow.engine.graph.preserving import Preserved, Writes, is_lazy, state_kept
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentStep
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.signature import Signature
from winnow.engine.graph.sized import Context
from winnow.engine.graph.weighing import weigh
from winnow.engine.graph.wrappers import refuse_compiled, unwrapped

ROUNDING = 1e-6  # of multiply-accumulates, in comparisons


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
    with as_norms(inner), state_kept(inner) as state, evaluating(inner), torch.no_grad(), _eager():
        passes = _Passes(inner, state, program)
        for call in given:
            for one in call.modes():
                passes.add(one, asked=call.training is not None)
    graph = built_graph(inner, passes.found(given, said))
    return replace(graph, whole_macs=(*graph.whole_macs, *_beyond_layers(graph, given[0])))


def _beyond_layers(graph: ChannelGraph, call: Call) -> list[tuple[str, float]]:
    """Return the MACs of weights beyond those of layers: computed at each pass, sliced, taken by what has no rule.

    They are NaN for weights of no layer where torch cannot run the model under the count.
    """
    counted = _counted(graph)
    names = [name for name, weight in graph.model.named_parameters() if weight.dim() > 1]
    whole = {name for name, _ in graph.whole_macs}  # of all matrices of a recurrent layer, by the name of one
    together = {_holder(name) for name in counted if name in whole or name not in names}
    left = [name for name in names if name not in counted and not {name, _holder(name)} & (together | {*graph.unused})]
    try:
        with _eager(), _written_back(graph):
            weighed = weigh(graph.model, call)[1]
    except RuntimeError:  # of torch, for an operation that it does not run under a dispatch mode
        tables = {path for path, own in graph.model.named_modules() if isinstance(own, nn.Embedding | nn.EmbeddingBag)}
        return [(name, math.nan) for name in left if _holder(name) not in tables]
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(f"{_holder(name)}." if _holder(name) in together else name, []).append(name)
    found = [
        (own[0], sum(weighed[name] for name in own), sum(macs for name, macs in counted.items() if _is_of(name, key)))
        for key, own in parts.items()
    ]
    return [(name, macs - layers) for name, macs, layers in found if not macs - layers <= ROUNDING * macs]


@contextmanager
def _written_back(graph: ChannelGraph) -> Iterator[None]:
    """Put back the parameters that passes were seen to write, also where a count sees no write, as through NumPy."""
    held = [(own, own.detach().clone()) for own in map(graph.model.get_parameter, graph.rewritten)]
    try:
        yield
    finally:
        for own, before in held:
            own.data.copy_(before)


def _counted(graph: ChannelGraph) -> dict[str, float]:
    """Return the MACs that the layers of a graph have, by the name of a weight; those of buffers are left out."""
    found: dict[str, float] = {}
    buffers = {name for name, _ in graph.model.named_buffers(remove_duplicate=False)}
    uses = [(own.weight, own.macs * len(own.rows) * len(own.columns)) for own in graph.products]
    uses += [(own.weight, own.macs * len(own.channels)) for own in graph.depthwise]
    for step in graph.steps:
        for level in step.levels if isinstance(step, RecurrentStep | CellStep) else ():
            both = (level.weight_ih, level.weight_hh)
            uses += [(name, level.places * graph.model.get_parameter(name).numel()) for name in both]
    for name, macs in [*uses, *graph.whole_macs]:
        found[name] = found.get(name, 0.0) + macs
    return {name: macs for name, macs in found.items() if name not in buffers}


def _is_of(name: str, key: str) -> bool:
    """Whether a weight is the one that a key names, or is held by the module that it names with a point behind."""
    return name == key or f"{_holder(name)}." == key


def _holder(name: str) -> str:
    """Return the module that holds a weight, or what its weight is computed from."""
    module = name.rpartition(".")[0]
    return f".{module}".partition(".parametrizations.")[0].removeprefix(".")


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
        own = on_copies(call)
        named = {name: value for name, (_, value) in own.named(self._model).items()}
        inputs = observer.enter_inputs(flatten(named))
        mode, named_errors = in_mode(self._model, bool(call.training)), naming_numbers(self._model, call)
        told = told_of_gradients(observer.book.asked_gradients)
        with mode, named_errors, observer.paths, observer.beneath, observer, told:
            result = run(self._model, own)
        self._asked |= {context: None for context in observer.book.contexts if context.kind == "gradients"}
        found = outputs(self._model, result)
        return inputs, observer.ends(found)

    def _draw_program(self, call: Call) -> None:
        recording = Recording(self._model, max(length_of(call), 1))
        try:
            self._again()
            with in_mode(self._model, training=False), Writes(self._state):
                expected = run(self._model, on_copies(call))
            self._again()
            with in_mode(self._model, training=False), Writes(self._state):
                self._drawn = drawn(self._model, recording, on_copies(call), expected)
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
