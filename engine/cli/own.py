"""Options that name code of the user's own: `--network MODULE:FUNCTION`, `--dataset MODULE:FUNCTION`, and theirs.

Beside them are the commands for such code: `winnow trust`, and `winnow import`.

To name code in a command confirms it on this machine (`data.trust`); a run folder alone never does.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from winnow.data.blame import users_code
from winnow.data.catalog import DATASETS
from winnow.data.code import PATTERN, Code, Plain
from winnow.data.own import OwnData, content, fields_told, loaded
from winnow.data.spec import DataSpec
from winnow.data.trust import confirm
from winnow.engine.cli._help_sections import SectionOption
from winnow.engine.runs.run import find
from winnow.engine.specs.frozen import SpecError, first_line
from winnow.engine.specs.network import NETWORKS, OwnSpec
from winnow.engine.specs.registry import Reference, entry
from winnow.engine.specs.train import TrainSpec

Command = Callable[..., Any]
T = TypeVar("T")
IMPORT, DO = (Reference("winnow.engine.jobs.importing", name) for name in ("Import", "import_checkpoint"))
METRIC = ("name", "label", "unit", "better")
NOTHING = ("None", "null")  # as Python and JSON write it; none may be a word of the user's own
LEAST = 2  # dimensions of an example: a batch of something


def own_options(command: Command) -> Command:
    """Give a command the options of a network and a data set of the user's own."""
    options = (
        click.option(
            "--task",
            cls=SectionOption,
            section=None,
            multiple=True,
            metavar="NAME=MODULE:THING",
            callback=lambda context, parameter, value: value or None,
            help="task of your own for a field: its loss, metrics and best constant; may be given several times",
        ),
        click.option(
            "--alternating",
            cls=SectionOption,
            section="data",
            is_flag=True,
            default=None,
            help="with several data sets: batches of one at a time, in turns; not set: mixed",
        ),
        _assignments("network", "option of your own network's function; may be given several times"),
        _assignments("dataset", "option of your own data set's function; may be given several times"),
        click.option(
            "--trunk",
            cls=SectionOption,
            section="network",
            default=None,
            metavar="MODULE,…",
            help="modules of your own network that the tasks share (MODULE:FUNCTION only)  [found from the graph]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _assignments(of: str, text: str) -> Command:
    return click.option(
        f"--{of}-option",
        cls=SectionOption,
        section="data" if of == "dataset" else of,
        multiple=True,
        metavar="NAME=VALUE",
        callback=lambda context, parameter, value: value or None,
        help=f"{text} (MODULE:FUNCTION only)",
    )


def own_values(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the options say about code and weights of the user's own, by section of the spec, and the others.

    To describe a data set, its code is run here.

    Raises:
        SpecError: an option that belongs to the kinds of ours, or an option of one's own without such a kind.
        ValueError: the data set's code is not there, or gives no data set.

    """
    rest, own = dict(given), dict[str, Any]()
    if asked := rest.pop("task", None):
        own["own_tasks"] = _once(map(_own_task, asked), "task")
    for section, key, kinds in (("network", "network", NETWORKS), ("data", "dataset", DATASETS)):
        left = [f"{key}_option", *(["trunk"] if key == "network" else [])]
        found = {name: rest.pop(name, None) for name in left}
        name = rest.get(key)
        if name is None or ":" not in name:
            _refuse_unused(found, key, name or next(iter(kinds)))
            continue
        if not re.match(PATTERN, name):
            raise SpecError(f"`{key}` must be written as package.module:function, got {name!r}. Leave out .py.")
        _refuse_ours(rest, key, {field for spec in kinds.values() for field in spec.model_fields} - {key})
        rest[key] = None
        assigned = _once(map(_option, found[f"{key}_option"] or ()), f"{key}-option")
        code = {key: "own", "code": name, "path": str(Path.cwd())}
        own[section] = (
            {**code, "options": assigned, "trunk": _modules(found["trunk"])}
            if key == "network"
            else _described_data({**code, "given": assigned})
        )
    return own, rest


def _own_task(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a field and what a spec holds of the task of the user's own for it; its code is run here."""
    name, equals, code = (part.strip() for part in text.partition("="))
    if not equals or not re.match(PATTERN, code):
        raise SpecError(f"`task` must be written as depth=MODULE:THING, got {text!r}.")
    own = Code(code, str(Path.cwd()), "task")
    confirm(own.fingerprint())
    metrics = getattr(own.load(), "metrics", ())
    try:
        told = [{part: getattr(metric, part) for part in METRIC} for metric in metrics]
    except (AttributeError, TypeError) as error:
        said = f"`metrics` of {code} must be a tuple of winnow.data.sample.Metric, got {metrics!r:.80}."
        raise SpecError(said) from error
    if not told or len({metric["name"] for metric in told}) < len(told) or "loss" in {m["name"] for m in told}:
        raise SpecError(
            f"`metrics` of {code} must name at least one metric, each once and none of them loss, got {told!r:.80}."
        )
    return name, {"code": code, "path": own.path, "metrics": told}


def _refuse_unused(found: Mapping[str, Any], key: str, name: str) -> None:
    if unused := [option for option, value in found.items() if value]:
        flag = unused[0].replace("_", "-")
        raise SpecError(f"`{flag}` must come with --{key} MODULE:FUNCTION, got --{key} {name}.")


def _refuse_ours(given: Mapping[str, Any], key: str, ours: Collection[str]) -> None:
    if wrong := [field for field in ours if given.get(field) is not None]:
        raise SpecError(
            f"`{wrong[0]}` is not an option of a {key} of your own, got {given[wrong[0]]}. Give it as "
            f"--{key}-option {wrong[0]}=…, if your function takes it."
        )


def _modules(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _described_data(values: dict[str, Any]) -> dict[str, Any]:
    """Load the training split once, and add what is known about its images."""
    spec = OwnData.model_validate(values)
    confirm(spec.own_code().fingerprint())
    found = loaded(spec.own_code(), "train", spec.given)
    with users_code("dataset", spec.code):
        told = {"described": fields_told(found), "train_length": len(found), "content": content(found, "train")}
    return spec.model_copy(update=told).model_dump()


def spec_of_data(name: str, options: Sequence[str]) -> DataSpec:
    """Return the spec of a data set, of ours by name or of the user's own by code, with its options.

    Raises:
        SpecError: there is no such data set, or it has no such option.

    """
    assigned = _once(map(_option, options), "dataset-option")
    try:
        if ":" in name:
            code = {"dataset": "own", "code": name, "path": str(Path.cwd()), "given": assigned}
            return OwnData.model_validate(_described_data(code))
        return entry(DATASETS, name, "dataset").model_validate({"dataset": name, **assigned})
    except ValidationError as error:
        raise SpecError(first_line(error)) from error


def own_code(spec: TrainSpec) -> list[Code]:
    """Return the code of the user's own that a spec names."""
    parts = [part for part in (spec.network, spec.data) if isinstance(part, OwnSpec | OwnData)]
    return [part.own_code() for part in (*parts, *spec.own_tasks.values())]


def confirmed(spec: TrainSpec) -> TrainSpec:
    """Return the spec, its code confirmed on this machine.

    Raises:
        ValueError: there is no such code.

    """
    for code in own_code(spec):
        confirm(code.fingerprint())
    return spec


@click.command("trust")
@click.argument("run")
@click.option("--yes", is_flag=True, help="do not ask")
def trust_command(run: str, yes: bool) -> None:
    """Allow the code that RUN names to run on this machine. It is your own code, or code that you have read."""
    chosen = find(run)
    codes = own_code(chosen.spec)
    if not codes:
        raise click.UsageError(f"`RUN` must name code of your own, got {chosen.id}, which names none.")
    for code in codes:
        click.echo(f"{code.name} in {code.path}, digest {code.fingerprint()['digest']}")
        for name, file in code.files().items():
            click.echo(f"  {name}  {file}")
    if not yes:
        click.confirm("May this code run here?", abort=True)
    confirmed(chosen.spec)


def _option(text: str) -> tuple[str, Plain]:
    """Return the name and value of `width=64`: a number, true, false or None where it reads as one, else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise SpecError(f"an option must be written as width=64, got {text!r}.")
    return name.strip(), _value(value.strip())


def _once(pairs: Iterable[tuple[str, T]], option: str) -> dict[str, T]:
    """Return {name: value} of an option that may be given several times, once for each name."""
    found = list(pairs)
    names = [name for name, _ in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SpecError(f"`{option}` must be given once for {twice[0]}, got it twice. Leave one out.")
    return dict(found)


def _value(text: str) -> Plain:
    if text in NOTHING or (word := text.lower()) in ("true", "false"):
        return None if text in NOTHING else word == "true"
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if abs(found) < float("inf") else text  # NaN and infinity stay text
    return text


@click.command("import")
@click.argument("checkpoint", type=click.Path())
@click.option(
    "--network", required=True, metavar="MODULE:FUNCTION", help="function of your own that returns the network"
)
@click.option("--network-option", multiple=True, metavar="NAME=VALUE", help="option of that function")
@click.option("--trunk", default=None, metavar="MODULE,…", help="modules that the tasks share  [found from the graph]")
@click.option("--example", default=None, metavar="B,C,H,W", help="shape of an input, where there is no --dataset")
@click.option("--dataset", default=None, help="data set whose validation images judge the network, by name or code")
@click.option("--dataset-option", multiple=True, metavar="NAME=VALUE", help="option of the data set")
@click.option("--tasks", default=None, help="tasks of the data set, separated by commas  [all]")
@click.option(
    "--groups", default="coupled", type=click.Choice(["input", "output", "coupled"]), help="what becomes zero together"
)
@click.option("--name", default="imported", help="name of the run")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
def import_command(checkpoint: str, as_json: bool, **given: Any) -> None:
    """Make a run from the weights in CHECKPOINT. It can then be shown, pruned and explained.

    CHECKPOINT is a .safetensors file, or a state_dict that torch.save wrote.
    """
    network = own_values({name: given[name] for name in ("network", "network_option", "trunk")})[0].get("network")
    if network is None:
        raise SpecError(f"`network` must be MODULE:FUNCTION, got {given['network']}.")
    data = _data(given["dataset"], given["dataset_option"])
    try:
        spec = OwnSpec.model_validate(network)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
    confirm(spec.own_code().fingerprint())
    tasks = tuple(part.strip() for part in (given["tasks"] or "").split(",") if part.strip())
    shape = _shape(given["example"]) if data is None else ()
    asked = IMPORT.load()(given["name"], Path(checkpoint), spec, shape, data, tasks, given["groups"])
    run = DO.load()(asked)
    if as_json:
        click.echo(json.dumps({"run": run.id, "folder": str(run.path), "state": run.status.state}))
    else:
        click.echo(f"{run.path}\nnext: winnow prune {run.id}, or winnow explain {run.id}, or winnow dashboard")


def _data(name: str | None, options: Sequence[str]) -> DataSpec | None:
    if name is None and options:
        raise SpecError("`dataset-option` must come with --dataset, got none.")
    return None if name is None else spec_of_data(name, options)


def _shape(text: str | None) -> tuple[int, ...]:
    parts = (text or "").split(",")
    if len(parts) < LEAST or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise SpecError(f"`example` must be the shape of an input, such as 1,3,64,64, got {text or 'none'}.")
    return tuple(map(int, parts))
