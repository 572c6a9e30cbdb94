"""A program made ready: every step looked up in the tables of what is allowed, every reference found to be earlier."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from winnow.engine.export.allowed import ATTRIBUTES, FUNCTIONS, METHODS
from winnow.engine.export.arguments import Ref, decoded, filled, refs
from winnow.engine.export.bounds import ADVICE, STEPS, number_bounded
from winnow.engine.export.document import Document, Input, StepEntry
from winnow.engine.export.refusal import NotRebuildable

Call = Callable[..., Any]  # given the model, then the step's arguments
Get = Callable[[Mapping[str, Any]], Any]  # given the results by name


@dataclass(frozen=True, eq=False)
class Instruction:
    """A step made ready: what to call with which arguments, and which results are let go of behind it.

    `frozen`: whether it runs without gradients.
    """

    name: str
    call: Call
    args: tuple[Get, ...]
    kwargs: dict[str, Get]
    done: tuple[str, ...]
    frozen: bool = False


@dataclass(frozen=True, eq=False)
class Script:
    """A whole program: its inputs, its steps as written and made ready, and the template of its result."""

    inputs: tuple[Input, ...] = ()
    defaults: dict[str, Any] | None = None
    steps: tuple[StepEntry, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    result: Any = None  # a template


def export_script(form: Document, in_training: bool = False) -> Script:
    """Return the program of a document, or the one that it has for training mode.

    Raises:
        NotRebuildable: a target is not allowed, a reference leads nowhere, or the program is too long.

    """
    other = form.in_training if in_training else None
    program, end = (form.program, form.result) if other is None else (other.program, other.result)
    if len(program) > STEPS:
        raise NotRebuildable(f"`program` must have at most {STEPS} steps, got {len(program)}. {ADVICE}")
    known = {given.name for given in form.inputs}
    if len(known) < len(form.inputs) or len({given.argument for given in form.inputs}) < len(form.inputs):
        raise NotRebuildable("`inputs` must have different names, got one twice.")
    templates: dict[str, tuple[list[Any], dict[str, Any]]] = {}
    for step in program:
        args, kwargs = decoded(step.args), decoded(step.kwargs)
        _check(step, args, kwargs, known)
        templates[step.name] = args, kwargs
        known.add(step.name)
    result = decoded(end)
    _known(refs(result), known, "result")
    defaults = {given.argument: decoded(given.default) for given in form.inputs if given.optional}
    _known(refs(defaults), set(), "inputs")
    done = _last_uses(templates, set(refs(result)))
    ready = [_ready(step, _callee(step, form), templates[step.name], done[step.name]) for step in program]
    return Script(tuple(form.inputs), defaults, tuple(program), tuple(ready), result)


def _ready(step: StepEntry, call: Call, templates: tuple[list[Any], dict[str, Any]], done: list[str]) -> Instruction:
    args, kwargs = templates
    named = {name: _getter(template) for name, template in kwargs.items()}
    return Instruction(step.name, call, tuple(_getter(template) for template in args), named, tuple(done), step.frozen)


def _getter(template: Any) -> Get:
    """Return what gives the value of a template; most are one result or a constant, and that is quick."""
    if isinstance(template, Ref):
        return operator.itemgetter(template.name)
    if not refs(template):
        return lambda _: template
    return lambda values: filled(template, values)


def _check(step: StepEntry, args: Any, kwargs: Any, known: set[str]) -> None:
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
        raise NotRebuildable(f"`{step.name}` must have a list and a dict of arguments, got something else.")
    if step.name in known:
        raise NotRebuildable(f"`{step.name}` must be the name of one step, got it twice.")
    _known(refs([args, kwargs]), known, step.name)
    if step.op in ("method", "part") and not (args and isinstance(args[0], Ref)):
        raise NotRebuildable(f"`{step.name}` must be a {step.op} of an earlier result, got no such result.")


def _known(names: list[str], known: set[str], place: str) -> None:
    for name in names:
        if name not in known:
            raise NotRebuildable(f"`{place}` must use the results of earlier steps, got {name[:80]!r}.")


def _last_uses(templates: Mapping[str, Any], kept: set[str]) -> dict[str, list[str]]:
    """Return for each step the results that no later one needs."""
    last: dict[str, str] = {}
    for name, (args, kwargs) in templates.items():
        last |= dict.fromkeys([*refs([args, kwargs]), name], name)
    done: dict[str, list[str]] = {name: [] for name in templates}
    for name, user in last.items():
        if name not in kept:
            done[user].append(name)
    return done


def _callee(step: StepEntry, form: Document) -> Call:
    """Return what a step calls.

    Raises:
        NotRebuildable: its target is not allowed.

    """
    allowed = {
        "call": FUNCTIONS,
        "method": METHODS,
        "part": ATTRIBUTES,
        "layer": form.layers,
        "tensor": form.tensors | form.tied,
        "mode": {"training", *(f"{path}.training" for path in form.modes)},
    }
    if step.target not in allowed[step.op]:
        raise NotRebuildable(f"`target` must be an allowed {step.op}, got {step.target[:80]!r} at `{step.name}`.")
    return MAKERS[step.op](step.target)


def _function(target: str) -> Call:
    function = FUNCTIONS[target]
    home, _, name = target.rpartition(".")
    if home in ("operator", "builtins"):
        function = number_bounded(name, function)
    return lambda _, *args, **kwargs: function(*args, **kwargs)


def _method(target: str) -> Call:
    return lambda _, first, *args, **kwargs: getattr(first, target)(*args, **kwargs)


def _part(target: str) -> Call:
    return lambda _, first: getattr(first, target)


def _layer(target: str) -> Call:
    path = target.split(".")
    return lambda model, *args, **kwargs: _at(model, path)(*args, **kwargs)


def _tensor(target: str) -> Call:
    *path, name = target.split(".")
    return lambda model: getattr(_at(model, path), name)


def _at(model: nn.Module, path: list[str]) -> Any:
    """Return the module at a path, by the tree alone."""
    for name in path:
        model = model._modules[name]  # type: ignore[assignment]
    return model


def _mode(target: str) -> Call:
    path = target.split(".")[:-1]
    return lambda model: _at(model, path).training


MAKERS: dict[str, Callable[[str], Call]] = {
    "call": _function,
    "method": _method,
    "part": _part,
    "layer": _layer,
    "tensor": _tensor,
    "mode": _mode,
}
