"""The options of `winnow train` and its followers, one per field of a spec: name, type, choices, meaning, default.

A section of the spec may have several kinds, each with fields of its own: every data set, every kind of network. The
options are those of all kinds. The help says to which an option belongs, and an option that the chosen kind does not
have is refused.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from winnow.data.catalog import DATASETS
from winnow.data.registered import joined_values, resolved
from winnow.data.spec import DataSpec
from winnow.engine.cli._help_sections import SectionOption
from winnow.engine.cli.own import confirmed, own_options, own_values
from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import NETWORKS
from winnow.engine.specs.penalty import AUTO, PENALTIES, PenaltySpec
from winnow.engine.specs.registry import entry
from winnow.engine.specs.train import OptimiserSpec, TrainSpec, parse

Command = Callable[..., Any]
NOT_SET = "not set"
OWN = MappingProxyType({"network": "the network", "dataset": "a split"})
"""Choices that may also be code of the user's own, and what it returns."""


@dataclass(frozen=True)
class Section:
    """A part of the spec: which field names its kind, and the spec of each kind. With one kind, `key` is ""."""

    key: str
    kinds: Mapping[str, type[BaseModel]]


SECTIONS: Mapping[str, Section] = MappingProxyType(
    {
        "data": Section("dataset", DATASETS),
        "network": Section("network", NETWORKS),
        "penalty": Section("", {"": PenaltySpec}),
        "balancing": Section("", {"": BalancingSpec}),
        "optimiser": Section("", {"": OptimiserSpec}),
    }
)
ELSEWHERE = ("kind", "format_version", "strength_changes", "target_changes", "start", "tasks", "own_tasks", *SECTIONS)
"""Fields of the spec of a run that are no option here: constants, sections, and `--tasks`, which its command has."""


@dataclass(frozen=True)
class Option:
    """An option: its section, its name, the field behind it for each kind that has it, and whose alone it is.

    `only` names the kinds that use it, of a choice within the section: "" for all of them.
    """

    section: str | None
    name: str
    fields: Mapping[str, FieldInfo]
    only: str = ""

    @property
    def field(self) -> FieldInfo:
        """The field behind it, of the first kind that has it."""
        return next(iter(self.fields.values()))

    @property
    def chooses(self) -> bool:
        """Whether its value is the kind of its section."""
        return self.section is not None and self.name == SECTIONS[self.section].key

    @property
    def metavar(self) -> str | None:
        """How its value is written; None for a switch."""
        if self.chooses:
            return "|".join([*self.fields, *(["MODULE:FUNCTION"] if self.name in OWN else [])])
        if self.field.annotation is bool:
            return None
        return _metavar(self.field.annotation) + (f"|{AUTO}" if self.name == "strength" else "")

    @property
    def help(self) -> str:
        """What it means and its default; kind by kind where they differ."""
        if self.chooses:
            kinds = SECTIONS[self.section or ""].kinds
            said = "; ".join(f"{kind}: {_first_sentence(spec)}" for kind, spec in kinds.items())
            more = (
                f"; MODULE:FUNCTION: a function of your own that returns {OWN[self.name]}" if self.name in OWN else ""
            )
            more += "; NAME: one registered with winnow data add; ONE+OTHER: several" if self.name == "dataset" else ""
            return f"{said}{more}  [default: {next(iter(kinds))}]"
        meaning = _by_kind({kind: info.description or "" for kind, info in self.fields.items()})
        default = _by_kind({kind: _shown(info) for kind, info in self.fields.items()})
        default = "; ".join([default, *(f"{of}: {_written(value)}" for of, value in self._usual())])
        shown = "" if NOT_SET + ":" in meaning else f"  [default: {default}]"
        owners = self.only.replace(" and ", ", ")
        return f"{meaning}{f' ({owners} only)' if owners else ''}{shown}"

    def _usual(self) -> Iterator[tuple[str, Any]]:
        """Yield the data sets of which something else is usual, and what."""
        for dataset, spec in DATASETS.items():
            part = spec.usual.get(self.section, {}) if self.section else spec.usual
            if self.name in part:
                yield dataset, part[self.name]


def spec_options(command: Command) -> Command:
    """Give a command one option per field of the spec of a training run."""
    return own_options(_with_options(command, training_options()))


def flat_options(spec: type[BaseModel], hidden: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Return what gives a command one option per field of a spec without sections, except those hidden."""
    return lambda command: _with_options(command, _flat(spec, hidden))


def spec_of(given: Mapping[str, Any]) -> TrainSpec:
    """Return the spec that the options describe; what was not given keeps its default.

    Code of the user's own that they name is confirmed on this machine.

    Raises:
        SpecError: an option is not what its field expects, or belongs to another data set, network or penalty.
        ValueError: there is no such code of the user's own.

    """
    joined, given = joined_values(resolved(given))
    own, given = own_values(given)
    values: dict[str, Any] = {"tasks": _parts(given["tasks"])} if given["tasks"] else {}
    kinds = {name: _chosen(section, given) for name, section in SECTIONS.items()}
    for option in training_options():
        if (value := given.get(option.name)) is None:
            continue
        if option.section is None:
            values[option.name] = _parsed(value, option.field)
            continue
        kind = kinds[option.section]
        _require_used(option, kind, given)
        values.setdefault(option.section, {})[option.name] = _parsed(value, option.fields[kind])
    values |= {**own, **({"data": joined} if joined else {})}
    return confirmed(parse(values))


def flat_values(spec: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say about a spec without sections, for the spec to judge."""
    return {
        option.name: _parsed(given[option.name], option.field)
        for option in _flat(spec, ())
        if given.get(option.name) is not None
    }


def require_alone(alone: str, given: Mapping[str, Any]) -> None:
    """Refuse every option of a spec beside `alone`, which takes up a spec that is there.

    Raises:
        UsageError: one is given.

    """
    for name, value in given.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"`{flag}` must be left out with `{alone}`, which takes all options from there.")


def training_options() -> list[Option]:
    """Return the options of a training run, in the order of the help."""
    found = [Option(None, name, {"": info}) for name, info in TrainSpec.model_fields.items() if name not in ELSEWHERE]
    for name, section in SECTIONS.items():
        names = dict.fromkeys([*filter(None, [section.key]), *_names(section)])
        found += [_option(name, field) for field in names if field == name or field not in ELSEWHERE]
    return found


def _names(section: Section) -> Iterator[str]:
    return (field for spec in section.kinds.values() for field in _asked(spec))


def _asked(spec: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields that are asked for: all but what a data set reads from its folder."""
    return spec.asked() if issubclass(spec, DataSpec) else spec.model_fields


def _option(section: str, name: str) -> Option:
    kinds = SECTIONS[section].kinds
    fields = {kind: spec.model_fields[name] for kind, spec in kinds.items() if name in spec.model_fields}
    owners: Iterable[str] = fields if len(fields) < len(kinds) else ()
    if section == "penalty":
        owners = [kind for kind, penalty in PENALTIES.items() if name in penalty.parameters]
    return Option(section, name, fields, " and ".join(owners))


def _flat(spec: type[BaseModel], hidden: tuple[str, ...]) -> list[Option]:
    left_out = {"kind", "format_version", *hidden}
    return [Option(None, name, {"": info}) for name, info in spec.model_fields.items() if name not in left_out]


def _chosen(section: Section, given: Mapping[str, Any]) -> str:
    """Return which kind of a section the options choose; the first one where they do not say."""
    kind = str(given.get(section.key) or next(iter(section.kinds)))
    try:
        entry(section.kinds, kind, section.key)
    except ValueError as error:
        raise SpecError(str(error)) from error
    return kind


def _require_used(option: Option, kind: str, given: Mapping[str, Any]) -> None:
    """Refuse an option that the chosen data set, network or penalty does not have."""
    section, value = option.section or "", given[option.name]
    if kind not in option.fields:
        spec, key = SECTIONS[section].kinds[kind], SECTIONS[section].key
        own = ", ".join(name for name in _asked(spec) if name != key) or "none"
        raise SpecError(f"`{option.name}` is not an option of {key} {kind}, got {value}. Its options are: {own}.")
    chosen = given.get("penalty") or PenaltySpec().penalty
    if section == "penalty" and option.only and chosen in PENALTIES and chosen not in option.only.split(" and "):
        own = ", ".join(PENALTIES[chosen].parameters) or "none"
        raise SpecError(
            f"`{option.name}` is not an option of penalty {chosen}, got {value}. Its own options are: {own}."
        )


def _with_options(command: Command, options: list[Option]) -> Command:
    for option in reversed(options):
        dashed = option.name.replace("_", "-")
        switch = option.field.annotation is bool
        command = click.option(
            f"--{dashed}/--no-{dashed}" if switch else f"--{dashed}",
            option.name,
            cls=SectionOption,
            section=option.section,
            default=None,
            metavar=option.metavar,
            help=option.help,
        )(command)
    return command


def _first_sentence(spec: type[BaseModel]) -> str:
    text = (spec.__doc__ or getattr(spec, "summary", "") or spec.__name__).splitlines()[0].rstrip(".")
    named = not text[1:].partition(" ")[0].islower()  # NYU-v2, a name
    return text if named else text[:1].lower() + text[1:]


def _by_kind(said: Mapping[str, str]) -> str:
    """Say once what all kinds say, otherwise kind by kind."""
    kinds: dict[str, list[str]] = {}
    for kind, text in said.items():
        kinds.setdefault(text, []).append(kind)
    return next(iter(kinds)) if len(kinds) == 1 else "; ".join(f"{', '.join(of)}: {text}" for text, of in kinds.items())


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
    if info.is_required():
        return "none"
    default = info.get_default(call_default_factory=True, validated_data={})
    if default is None or default in ({}, (), ""):
        return NOT_SET
    return _written(default)


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metavar(annotation: Any) -> str:
    """Return how a value is written: one of the choices, INTEGER, NUMBER, TEXT, or several with commas."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(arguments)
    if origin is Annotated:
        return _metavar(arguments[0])
    if origin in (Union, UnionType):
        return _metavar(next(kind for kind in arguments if kind is not NoneType))
    if origin is tuple:
        return f"{_metavar(arguments[0])},…"
    if origin is dict:
        return f"NAME={_metavar(arguments[1])},…"
    return {int: "INTEGER", float: "NUMBER"}.get(annotation, "TEXT")
