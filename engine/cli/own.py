"""Options that name code of the user's own: `--network MODULE:FUNCTION`, its options, and its trunk.

To name code in a command confirms it on this machine (`data.trust`); a run folder alone never does.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from winnow.data.trust import confirm
from winnow.engine.cli._help_sections import SectionOption
from winnow.engine.runs.run import find
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import NETWORKS, OwnSpec, Plain
from winnow.engine.specs.train import TrainSpec

Command = Callable[..., Any]
LEFT = ("network_option", "trunk")


def own_options(command: Command) -> Command:
    """Give a command the options of a network of the user's own."""
    options = (
        click.option(
            "--network-option",
            cls=SectionOption,
            section="network",
            multiple=True,
            metavar="NAME=VALUE",
            callback=lambda context, parameter, value: value or None,
            help="option of your own network's function; may be given several times (MODULE:FUNCTION only)",
        ),
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


def own_values(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the options say about code of the user's own, by section of the spec, and the other options.

    Raises:
        SpecError: an option that belongs to the networks of ours, or an option of one's own without such a network.

    """
    rest = {name: value for name, value in given.items() if name not in LEFT}
    name = given.get("network")
    if name is None or ":" not in name:
        if unused := [left for left in LEFT if given.get(left)]:
            flag = unused[0].replace("_", "-")
            raise SpecError(f"`{flag}` must come with --network MODULE:FUNCTION, got --network {name or 'residual'}.")
        return {}, rest
    ours = {field for spec in NETWORKS.values() for field in spec.model_fields} - {"network"}
    if wrong := [field for field in ours if given.get(field) is not None]:
        raise SpecError(
            f"`{wrong[0]}` is not an option of a network of your own, got {given[wrong[0]]}. Give it as "
            f"--network-option {wrong[0]}=…, if your function takes it."
        )
    network = {
        "network": "own",
        "code": name,
        "path": str(Path.cwd()),
        "options": dict(map(_option, given.get("network_option") or ())),
        "trunk": tuple(part.strip() for part in (given.get("trunk") or "").split(",") if part.strip()),
    }
    return {"network": network}, {**rest, "network": None}


def confirmed(spec: TrainSpec) -> TrainSpec:
    """Return the spec, its code confirmed on this machine.

    Raises:
        ValueError: there is no such code.

    """
    if found := spec.network.fingerprint():
        confirm(found)
    return spec


@click.command("trust")
@click.argument("run")
@click.option("--yes", is_flag=True, help="do not ask")
def trust_command(run: str, yes: bool) -> None:
    """Confirm the code of your own that RUN names, so that this machine may run it."""
    chosen = find(run)
    network = chosen.spec.network
    if not isinstance(network, OwnSpec):
        raise click.UsageError(f"`RUN` must name code of your own, got {chosen.id}, which names none.")
    code = network.own_code()
    found = code.fingerprint()
    click.echo(f"{code.name} in {code.path}, digest {found['digest']}")
    for name, file in code.files().items():
        click.echo(f"  {name}  {file}")
    if not yes:
        click.confirm("May this code run here?", abort=True)
    confirm(found)


def _option(text: str) -> tuple[str, Plain]:
    """Return the name and value of `width=64`: a number, true or false where it reads as one, else text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise SpecError(f"`network_option` must be written as width=64, got {text!r}.")
    return name.strip(), _value(value.strip())


def _value(text: str) -> Plain:
    known: dict[str, Plain] = {"true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if abs(found) < float("inf") else text  # NaN and infinity stay text
    return text
