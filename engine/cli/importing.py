"""`winnow import`: a run of a network that was trained elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from winnow.data.spec import DataSpec
from winnow.data.trust import confirm
from winnow.engine.cli.own import own_values, spec_of_data
from winnow.engine.specs.frozen import SpecError, first_line
from winnow.engine.specs.network import OwnSpec
from winnow.engine.specs.registry import Reference

IMPORT = Reference("winnow.engine.jobs.importing", "Import")
DO = Reference("winnow.engine.jobs.importing", "import_checkpoint")
LEAST = 2  # dimensions of an example: a batch of something


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
    "--groups", default="coupled", type=click.Choice(["input", "output", "coupled"]), help="what is zero together"
)
@click.option("--name", default="imported", help="name of the run")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
def import_command(checkpoint: str, as_json: bool, **given: Any) -> None:
    """Make a run of the weights in CHECKPOINT: its groups are shown, and it can be pruned and explained at once.

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
    if name is None:
        if options:
            raise SpecError("`dataset-option` must come with --dataset, got none.")
        return None
    return spec_of_data(name, options)


def _shape(text: str | None) -> tuple[int, ...]:
    parts = (text or "").split(",")
    if len(parts) < LEAST or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise SpecError(f"`example` must be the shape of an input, such as 1,3,64,64, got {text or 'none'}.")
    return tuple(int(part) for part in parts)
