"""The options of `winnow train` and its followers, one per leaf of a spec: name, kind, choices, meaning, default."""

from collections.abc import Callable, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from winnow.engine.cli.help_sections import SectionOption
from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.specs.data import ScenesData
from winnow.engine.specs.train import NetworkSpec, OptimiserSpec, PenaltySpec, TrainSpec, parse

SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "data": ScenesData,
        "network": NetworkSpec,
        "penalty": PenaltySpec,
        "balancing": BalancingSpec,
        "optimiser": OptimiserSpec,
    }
)
HIDDEN = ("kind", "format_version", "strength_changes", "start", "tasks", "dataset", *SECTIONS)
Command = Callable[..., Any]
Leaves = list[tuple[str | None, str, FieldInfo]]  # section of the spec, name, field


def spec_options(command: Command) -> Command:
    """Give a command one option per leaf of the spec of a training run."""
    return _with_options(command, _training_leaves())


def flat_options(spec: type[BaseModel], hidden: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Return what gives a command one option per leaf of a spec without sections, but for those hidden."""
    return lambda command: _with_options(command, _flat_leaves(spec, hidden))


def spec_of(given: Mapping[str, Any]) -> TrainSpec:
    """Return the spec that the options describe; what was not given keeps its default.

    Raises:
        SpecError: an option is not what its leaf expects.

    """
    values: dict[str, Any] = {"data": {"dataset": given["dataset"]}}
    if given["tasks"]:
        values["tasks"] = _parts(given["tasks"])
    for section, name, info in _training_leaves():
        if (value := given.get(name)) is not None:
            home = values if section is None else values.setdefault(section, {})
            home[name] = _parsed(value, info)
    return parse(values)


def flat_values(spec: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say about a spec without sections, for the spec to judge."""
    return {name: _parsed(given[name], info) for _, name, info in _flat_leaves(spec, ()) if given.get(name) is not None}


def _with_options(command: Command, leaves: Leaves) -> Command:
    for section, name, info in reversed(leaves):
        flag = f"--{name.replace('_', '-')}"
        text = f"{info.description}  [default: {_shown(info)}]"
        if info.annotation is bool:
            option = click.option(
                f"{flag}/--no-{name.replace('_', '-')}",
                name,
                cls=SectionOption,
                section=section,
                default=None,
                help=text,
            )
        else:
            option = click.option(
                flag,
                name,
                cls=SectionOption,
                section=section,
                metavar=_metavar(info.annotation),
                default=None,
                help=text,
            )
        command = option(command)
    return command


def _training_leaves() -> Leaves:
    own: Leaves = [(None, name, info) for name, info in TrainSpec.model_fields.items() if name not in HIDDEN]
    inner: Leaves = [
        (section, name, info)
        for section, model in SECTIONS.items()
        for name, info in model.model_fields.items()
        if section == name or name not in HIDDEN
    ]
    return own + inner


def _flat_leaves(spec: type[BaseModel], hidden: tuple[str, ...]) -> Leaves:
    left_out = {"kind", "format_version", *hidden}
    return [(None, name, info) for name, info in spec.model_fields.items() if name not in left_out]


def _parsed(value: Any, info: FieldInfo) -> Any:
    """Split lists and assignments; numbers and choices are the spec's business."""
    if isinstance(info.default, tuple):
        return _parts(value)
    if info.default_factory is dict:
        return dict(part.partition("=")[::2] for part in _parts(value))
    return value


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _shown(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is None or default == {}:
        return "none"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _metavar(annotation: Any) -> str:
    """Return how a value is written: one of the choices, INTEGER, NUMBER, TEXT, or several with commas."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(arguments)
    if origin is Annotated:
        return _metavar(arguments[0])
    if origin is UnionType:
        return _metavar(next(kind for kind in arguments if kind is not NoneType))
    if origin is tuple:
        return f"{_metavar(arguments[0])},…"
    if origin is dict:
        return f"TASK={_metavar(arguments[1])},…"
    return {int: "INTEGER", float: "NUMBER"}.get(annotation, "TEXT")
