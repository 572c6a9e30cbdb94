"""`winnow runs`: list runs, show one, check one, sign one, remove one and take it back."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from winnow.engine.cli.follow import outcome
from winnow.engine.runs import trash
from winnow.engine.runs.concepts import concepts_of, undo_concept, write_concept
from winnow.engine.runs.derived import KINDS, derived_jobs
from winnow.engine.runs.digests import NOTED
from winnow.engine.runs.quantities import SPARSITIES
from winnow.engine.runs.run import Run, find, list_runs, runs_folder
from winnow.engine.runs.signing import sign
from winnow.engine.runs.verify import verify
from winnow.engine.runs.work_folder import refused

json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON object")


@click.group("runs")
def runs_group() -> None:
    """List, show, check, sign and remove runs."""


@runs_group.command("list")
@json_option
def runs_list(as_json: bool) -> None:
    """List all runs, newest first."""
    found = [_outcome(run) for run in list_runs()]
    left_out = refused(runs_folder())
    if as_json:
        click.echo(json.dumps({"runs": found, "refused": left_out}, allow_nan=False))
        return
    for name, why in left_out.items():
        click.echo(f"{name} is not shown: {why}", err=True)
    for entry in found:
        told = figures(entry) if entry["state"] != "damaged" else entry["message"]
        click.echo(f"{entry['run']:36} {entry['name'][:24]:24} {entry['state']:8} epoch {entry['epoch']:4}  {told}")
    if not found:
        click.echo("no runs yet. Start the first one with `winnow demo`.")


@runs_group.command("show")
@click.argument("run")
@json_option
def runs_show(run: str, as_json: bool) -> None:
    """Show the request and the results of RUN."""
    chosen = find(run)
    result = {"run": chosen.id, "folder": str(chosen.path), **outcome(chosen)}
    if as_json:
        click.echo(json.dumps({**result, "spec": chosen.spec.model_dump(mode="json")}, allow_nan=False))
        return
    status = chosen.recorded_status()
    times = {"started": _moment(status.started), "finished": _moment(status.finished)}
    for key, value in {**result, **times}.items():
        click.echo(f"{key:10} {value}")
    click.echo(chosen.spec.model_dump_json(indent=1))


@runs_group.command("verify")
@click.argument("run")
@json_option
@click.option("--by", default=None, metavar="FILE", type=click.Path(path_type=Path), help="public key of the signer")
def runs_verify(run: str, as_json: bool, by: Path | None) -> None:
    """Check every file of RUN, and its signature. Exit code 1 if one is damaged.

    With --by, RUN must be signed with that key.
    """
    chosen = find(run)
    findings = verify(chosen, by)
    if as_json:
        click.echo(json.dumps({"run": chosen.id, "files": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(f"{'whole  ' if finding.whole else 'DAMAGED'} {finding.file:34} {finding.detail}")
    sys.exit(0 if all(finding.whole for finding in findings) else 1)


@runs_group.command("sign")
@click.argument("run")
@click.option(
    "--key", required=True, metavar="FILE", type=click.Path(path_type=Path), help="your ssh key, ~/.ssh/id_ed25519"
)
def runs_sign(run: str, key: Path) -> None:
    """Sign RUN with your ssh key. This signs its digests, and those of all jobs on its result."""
    chosen = find(run)
    jobs = [job.path for kind in KINDS for job in derived_jobs(chosen, kind) if (job.path / NOTED).is_file()]
    for folder in (chosen.path, *jobs):
        sign(folder, key.expanduser())
        click.echo(f"signed {folder.relative_to(chosen.path.parent)}")


@runs_group.command("channels")
@click.argument("run")
@json_option
def runs_channels(run: str, as_json: bool) -> None:
    """List the channels of RUN that have a name or a note."""
    found = [one.model_dump() for one in concepts_of(find(run).path).values()]
    if as_json:
        click.echo(json.dumps({"run": find(run).id, "channels": found}))
        return
    for one in found:
        note = f"  {' '.join(one['note'].split())}" if one["note"] else ""
        click.echo(f"{one['kind']:8} {one['layer']} {one['channel']}: {one['name'] or '–'}{note}")


@runs_group.command("name-channel")
@click.argument("run")
@click.argument("layer", required=False)
@click.argument("channel", required=False, type=int)
@click.option("--name", default=None, help="what it is called; an empty text removes the name")
@click.option("--note", default=None, help="a note on it; an empty text removes the note")
@click.option("--undo", is_flag=True, help="undo the newest change instead")
def runs_name_channel(
    run: str, layer: str | None, channel: int | None, name: str | None, note: str | None, undo: bool
) -> None:
    """Name CHANNEL of LAYER of RUN, or write a note on it. The pages show both wherever the channel is named."""
    chosen = find(run)
    if undo:
        if layer is not None or name is not None or note is not None:
            raise click.UsageError("`--undo` must be given alone, got a channel too.")
        click.echo("undone" if undo_concept(chosen.path) else "there is nothing to undo")
        return
    if layer is None or channel is None or (name is None and note is None):
        raise click.UsageError(
            "`LAYER`, `CHANNEL` and `--name` or `--note` must be given together, got only some of them."
        )
    widths = {known.name: known.groups for known in chosen.norms.layers()}
    if channel < 0 or channel >= widths.get(layer, 0):
        where = f"0 to {widths[layer] - 1} of {layer}" if layer in widths else f"in one of {', '.join(widths)}"
        raise click.UsageError(f"`CHANNEL` must be {where}, got {channel} of {layer}.")
    changes = {key: value for key, value in (("name", name), ("note", note)) if value is not None}
    one = write_concept(chosen.path, chosen.spec.penalty.groups, layer, channel, **changes)
    click.echo(f"{layer} {channel}: {one.name or '–'}")


@runs_group.command("rm")
@click.argument("run")
@click.option("--yes", is_flag=True, help="do not ask")
def runs_remove(run: str, yes: bool) -> None:
    """Move RUN, with everything in it, to the trash. RUN may be a study or a path; its runs stay."""
    chosen = trash.run_or_study(run)
    if not yes:
        click.confirm(f"move {chosen.path} to the trash?", abort=True)
    moved = trash.discard(chosen)
    click.echo(f"in the trash now; to take it back: winnow runs restore {moved.name}", err=True)


@runs_group.command("restore")
@click.argument("run", required=False)
def runs_restore(run: str | None) -> None:
    """Take RUN back from the trash. Without RUN, list what is there."""
    if run is None:
        for name in trash.discarded():
            click.echo(name)
        return
    click.echo(trash.take_back(run).name)


@runs_group.command("empty-trash")
@click.option("--yes", is_flag=True, help="do not ask")
def runs_empty(yes: bool) -> None:
    """Remove what is in the trash for good."""
    count = len(trash.discarded())
    if count and not yes:
        click.confirm(f"remove {count} for good?", abort=True)
    click.echo(f"{trash.empty_trash()} removed", err=True)


def _outcome(run: Run) -> dict[str, Any]:
    """Return the outcome of a run; where a file of it is damaged, that and no figures."""
    try:
        return outcome(run)
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = " ".join(str(error).split())[:200]
        none: dict[str, Any] = {"epoch": 0, "metrics": {}, **dict.fromkeys(SPARSITIES)}
        return {"run": run.id, "name": "", "state": "damaged", "message": message, **none}


def figures(entry: Mapping[str, Any]) -> str:
    """Say the metrics and the sparsity of an outcome; a metric that is not finite is a dash."""
    metrics = [
        f"{task} –" if value is None else f"{task} {value:.4g}{'' if unit in ('', '1') else f' {unit}'}"
        for task, (_, value, unit) in entry["metrics"].items()
    ]
    sparse = entry["group_sparsity"]
    left_out = [f"{entry['skipped']} samples left out, see the table skipped"] if entry.get("skipped") else []
    return "  ".join([*metrics, *([f"{sparse:.1f} % of groups zero"] if sparse is not None else []), *left_out])


def _moment(seconds: float | None) -> str:
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
