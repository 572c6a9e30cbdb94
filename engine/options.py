"""The options of `winnow train`, one per leaf of the spec: name, kind, choices, meaning and default are read there."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.balancing.spec import BalancingSpec
from engine.spec import NetworkSpec, OptimiserSpec, PenaltySpec, ScenesData, TrainSpec, parse

SECTIONS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "data": ScenesData,
        "network": NetworkSpec,
        "penalty": PenaltySpec,
        "balancing": BalancingSpec,
        "optimiser": OptimiserSpec,
    }
)
HIDDEN = ("kind", "format_version", "strength_changes", "tasks", "dataset", *SECTIONS)
Command = Callable[..., Any]


def spec_options(command: Command) -> Command:
    """Give a command one option per leaf of the spec."""
    for _, name, info in reversed(list(_leaves())):
        flag = f"--{name.replace('_', '-')}"
        text = f"{info.description}  [default: {_shown(info)}]"
        if info.annotation is bool:
            option = click.option(f"{flag}/--no-{name.replace('_', '-')}", name, default=None, help=text)
        else:
            option = click.option(flag, name, metavar=_metavar(info.annotation), default=None, help=text)
        command = option(command)
    return command


def spec_of(given: Mapping[str, Any]) -> TrainSpec:
    """Return the spec that the options describe; what was not given keeps its default.

    Raises:
        SpecError: an option is not what its leaf expects.

    """
    values: dict[str, Any] = {"data": {"dataset": given["dataset"]}}
    if given["tasks"]:
        values["tasks"] = _parts(given["tasks"])
    for section, name, info in _leaves():
        if (value := given.get(name)) is not None:
            home = values if section is None else values.setdefault(section, {})
            home[name] = _parsed(value, info)
    return parse(values)


def _leaves() -> Iterator[tuple[str | None, str, FieldInfo]]:
    """Yield (section, name, field) for every option of a training run."""
    for name, info in TrainSpec.model_fields.items():
        if name not in HIDDEN:
            yield None, name, info
    for section, model in SECTIONS.items():
        for name, info in model.model_fields.items():
            if section == name or name not in HIDDEN:
                yield section, name, info


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
