"""Calls of a model: its inputs by place and by name, its mode, and which plain arguments were given.

Whatever a user passes as `example_inputs` becomes calls here, and a model is run on a call here, so that tracing,
counting, compaction, export and relevance take the same inputs.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from winnow.engine.graph.containers import flatten, plain_values, replaced
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.preserving import is_lazy, preserved
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.wrappers import refuse_other

OF_KINDS = re.compile(r"\b(d|data)?types?\b|\bdevices?\b", re.IGNORECASE)  # an error that speaks of them


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a model.

    Attributes:
        args: the positional inputs, tensors or anything else.
        kwargs: the inputs by name.
        training: the mode that the model is put in; None means evaluation mode where one mode is needed, and both
            where a graph is drawn.
        images: how many images it has, where its tensors do not agree on it; 0 where they do, or nobody has asked.

    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    training: bool | None = None
    images: int = 0

    def tensors(self) -> list[tuple[str, Tensor]]:
        """Return the tensors of the inputs with their paths: `0` for the first argument, `image` for a named one."""
        return flatten({**{str(place): value for place, value in enumerate(self.args)}, **self.kwargs})

    def in_mode(self, training: bool) -> "Call":
        """Return the same call in training or evaluation mode."""
        return replace(self, training=training)

    def modes(self) -> tuple["Call", ...]:
        """Return the call in the modes that it stands for: its own, or evaluation and training mode."""
        return (self,) if self.training is not None else (self.in_mode(False), self.in_mode(True))

    def changed(self, change: Any) -> Self:
        """Return the same call with `change` applied to every tensor."""
        kwargs = {name: replaced(value, change) for name, value in self.kwargs.items()}
        return replace(self, args=tuple(replaced(value, change) for value in self.args), kwargs=kwargs)

    def named(self, model: nn.Module) -> dict[str, tuple[str, Any]]:
        """Return the arguments of the forward pass by name, each with how it came: given or left at its default.

        Variadic arguments are listed by place (`images.0`) and by key. A forward pass without a signature gives `0`,
        `1`, … and the names.
        """
        signature = _signature(model)
        if signature is None:
            values = {str(place): value for place, value in enumerate(self.args)} | dict(self.kwargs)
            return {name: ("given", value) for name, value in values.items()}
        bound = signature.bind(*self.args, **self.kwargs)
        found: dict[str, tuple[str, Any]] = {}
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                found |= {key: ("given", value) for key, value in bound.arguments.get(name, {}).items()}
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                rest = enumerate(bound.arguments.get(name, ()))
                found |= {f"{name}.{place}": ("given", value) for place, value in rest}
            else:
                given = name in bound.arguments
                found[name] = ("given", bound.arguments[name]) if given else ("left at", parameter.default)
        return found

    def options(self, model: nn.Module) -> dict[str, str]:
        """Return what is no tensor as facts: `{"task": "given 'seg'", "mask": "left at None"}`."""
        found: dict[str, str] = {}
        for name, (how, value) in self.named(model).items():
            plain = plain_values(value)
            if not flatten(value):
                found[name] = f"{how} {value!r}"
            elif plain:
                found |= {f"{name}.{path}": f"{how} {leaf!r}" for path, leaf in plain}
        return found

    def described(self, model: nn.Module) -> str:
        """Return the call in one line: tensors with their shapes, plain arguments with their values, the mode."""
        tensors = [
            f"{f'{name}.{path}' if path else name} {'×'.join(map(str, leaf.shape)) or 'scalar'}"
            for name, (_, value) in self.named(model).items()
            for path, leaf in flatten(value)
        ]
        plain = [f"{name} {fact}" for name, fact in self.options(model).items()]
        modes = {None: "both modes", True: "training mode", False: "evaluation mode"}
        return ", ".join([*tensors, *plain, modes[self.training]])


def calls(model: nn.Module, example_inputs: Any) -> tuple[Call, ...]:
    """Return the calls that example inputs stand for; see `with_length` for their number of images.

    Args:
        model: the model that is called, without wrappers (`engine.graph.wrappers.unwrapped`).
        example_inputs: a `Call`; a list or tuple of `Call`s; a mapping of named inputs; a list or tuple of positional
            inputs; or one input of any kind. A mapping, list or tuple that does not fit the forward pass as several
            inputs, but does as one, is one.

    Raises:
        TypeError: `model` is no module.
        ValueError: there is no call, the inputs do not fit the forward pass, or they hold no tensor.

    """
    refuse_other(model)
    if isinstance(example_inputs, Call):
        found: tuple[Call, ...] = (example_inputs,)
    elif isinstance(example_inputs, list | tuple) and any(isinstance(part, Call) for part in example_inputs):
        found = _only_calls(example_inputs)
    else:
        found = (_one(model, example_inputs),)
    signature = _signature(model)
    for call in found:
        if signature is not None and (problem := _misfit(signature, call)):
            raise ValueError(
                f"`example_inputs` must fit {type(model).__name__}.forward{signature}, got {_kinds(call)}: {problem}. "
                "Give a mapping of named inputs, a tuple of positional ones, or an `engine.graph.calls.Call`."
            )
        if not call.tensors():
            raise ValueError(f"`example_inputs` must hold a tensor, got {_kinds(call)}. Give what the model is run on.")
    return tuple(with_length(model, call) for call in found)


def length_of(call: Call) -> int:
    """Return the number of images of a call, else what `_lengths` lists first; 0 if there is none."""
    return call.images or next(iter(_lengths(call)), 0)


def with_length(model: nn.Module, call: Call) -> Call:
    """Return a call with its number of images: where its tensors have several lengths, the one that most outputs have.

    Only then is the model run, once; it is afterwards what it was. Where no output has such a length, it is that of
    the first tensor of two axes or more, else of the first with an axis.
    """
    lengths = _lengths(call)
    if call.images or len(lengths) < 2 or any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        return call
    mode, named_errors = in_mode(model, bool(call.training)), naming_numbers(model, call)
    with mode, preserved(model), torch.no_grad(), named_errors:
        result = run(model, on_copies(call))
    made = [len(leaf) for _, leaf in flatten(result) if leaf.dim()]
    return replace(call, images=max(lengths, key=made.count))


def _lengths(call: Call) -> list[int]:
    """Return the lengths of the tensors of a call, each once: first of those of two axes or more."""
    leaves = sorted((leaf for _, leaf in call.tensors() if leaf.dim()), key=lambda leaf: leaf.dim() == 1)
    return list(dict.fromkeys(len(leaf) for leaf in leaves))


def in_modes(given: Sequence[Call]) -> list[Call]:
    """Return every call in each of the modes that it stands for."""
    return [each for call in given for each in call.modes()]


def on_copies(call: Call) -> Call:
    """Return a call on copies of its tensors: equal ones stay one tensor, and what a pass writes stays in it."""
    copies: dict[int, Tensor] = {}
    return call.changed(lambda leaf: copies.setdefault(id(leaf), leaf.detach().clone()))


def run(model: nn.Module, call: Call) -> Any:
    """Return what a model gives on a call, in the mode that the model is in."""
    return model(*call.args, **call.kwargs)


@contextmanager
def naming_numbers(model: nn.Module, call: Call) -> Iterator[None]:
    """Within it, an error of torch about types or devices says so where an input has those of no parameter.

    Other errors pass as they are: a model may take an input of another type by design.

    Raises:
        ValueError: that is so.

    """
    try:
        yield
    except RuntimeError as error:
        wanted, found = _kinds_of(model.parameters()), _kinds_of(tensor for _, tensor in call.tensors())
        if not wanted or found <= wanted or not OF_KINDS.search(str(error)):
            raise
        now, got = ", ".join(sorted(wanted)), ", ".join(sorted(found))
        raise ValueError(
            f"`example_inputs` must be what {type(model).__name__} takes as it is now, {now}, got {got}, and this "
            f"error: {error}. Move them as the model was moved: example.to(device, dtype)."
        ) from error


def numbers(tensors: Iterable[Tensor]) -> str:
    """Return the types of real numbers and where they lie, in words: float32 on cpu."""
    return ", ".join(sorted(_kinds_of(tensors)))


def _kinds_of(tensors: Iterable[Tensor]) -> set[str]:
    return {
        f"{str(own.dtype).removeprefix('torch.')} on {own.device.type}" for own in tensors if own.is_floating_point()
    }


def outputs(model: nn.Module, result: Any) -> list[tuple[str, Tensor]]:
    """Return the (path, tensor) pairs of a result.

    Raises:
        NotTraceable: there is no tensor in it.

    """
    found = flatten(result)
    if not found:
        kind = type(result).__name__
        raise NotTraceable(
            "", f"an output without a tensor, of class {kind}, from {type(model).__name__}",
            "return tensors, or dicts, tuples, lists or dataclasses of them",
        )  # fmt: skip
    return found


def _only_calls(parts: Sequence[Any]) -> tuple[Call, ...]:
    if other := [type(part).__name__ for part in parts if not isinstance(part, Call)]:
        raise ValueError(f"`example_inputs` must be calls throughout, got also {other}. Wrap each in a `Call`.")
    return tuple(parts)


def _one(model: nn.Module, given: Any) -> Call:
    several: Call | None = None
    if isinstance(given, Mapping) and all(isinstance(key, str) for key in given):
        several = Call(kwargs=dict(given))
    elif type(given) in (list, tuple):
        several = Call(args=tuple(given))
    single = Call(args=(given,))
    signature = _signature(model)
    if several is None or signature is None:
        return several or single
    return single if _misfit(signature, several) and not _misfit(signature, single) else several


def _signature(model: nn.Module) -> inspect.Signature | None:
    if isinstance(model, torch.jit.ScriptModule):
        return None
    try:
        return inspect.signature(model.forward)
    except (TypeError, ValueError):
        return None


def _misfit(signature: inspect.Signature, call: Call) -> str:
    try:
        signature.bind(*call.args, **call.kwargs)
    except TypeError as error:
        return str(error)
    return ""


def _kinds(call: Call) -> str:
    parts = [type(value).__name__ for value in call.args]
    parts += [f"{name}: {type(value).__name__}" for name, value in call.kwargs.items()]
    return f"({', '.join(parts)})"
