"""`winnow prune`, `winnow explain`, `winnow export`, `winnow bench`: jobs on the result of a run, from a terminal."""

import json
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import pandas as pd

from winnow.engine.cli.follow import attend
from winnow.engine.cli.options import flat_options, flat_values, require_alone
from winnow.engine.explain.checks.badges import badge
from winnow.engine.explain.circuits.tables import circuit_verdict, circuits_answer
from winnow.engine.runs import launch
from winnow.engine.runs.derived import KINDS, DerivedJob, derived_job, find_derived_job, newest_job, read
from winnow.engine.runs.run import Run, find
from winnow.engine.specs.export import OF_THE_RUN
from winnow.engine.specs.frozen import DerivedSpec
from winnow.engine.specs.jobs import JOBS

resume_option = click.option(
    "--resume", default=None, metavar="ID", help="start job ID again, which was stopped, lost or failed"
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")


def commands() -> list[click.Command]:
    """Return a command per kind of derived job: that of its spec, unless it has one of its own below."""
    return [OWN.get(kind) or _command(kind) for kind in KINDS]


def _command(kind: str) -> click.Command:
    """Return `winnow KIND RUN`, with an option per field of the kind's spec."""
    job = JOBS[kind]

    @click.command(kind, help=job.help)
    @click.argument("run")
    @as_json_option
    @resume_option
    @flat_options(job.spec)
    def command(run: str, as_json: bool, resume: str | None, **given: Any) -> None:
        chosen = find(run)
        if resume is not None:
            require_alone("--resume", given)
            sys.exit(_again(find_derived_job(chosen, kind, resume), as_json))
        if "pruning" in job.spec.model_fields:
            given["pruning"] = _pruning(chosen, given["pruning"], run).id
        sys.exit(_done(chosen, read({"kind": kind, **flat_values(job.spec, given)}), as_json))

    return command


@click.command("export", help=JOBS["export"].help)
@click.argument("run")
@click.option(
    "--format",
    "formats",
    default=None,
    metavar="NAME,…",
    help="safetensors, onnx, torch, card, model-explorer  [the first four]",
)
@click.option(
    "--pruning", default=None, help="which pruning of RUN; model-explorer needs none  [the newest that is done]"
)
@click.option("-o", "--out", default=None, type=click.Path(file_okay=False), help="copy the files to this folder")
@as_json_option
@resume_option
def export_command(run: str, as_json: bool, resume: str | None, out: str | None, **given: str | None) -> None:
    """Export a pruning, the newest that is done unless one is named; or the run itself, for Model Explorer."""
    chosen, formats, pruning = find(run), given["formats"], given["pruning"]
    if resume is not None:
        require_alone("--resume", given)
        _require_free(out)
        sys.exit(_again(find_derived_job(chosen, "export", resume), as_json, out))
    wanted = {"formats": tuple(formats.split(","))} if formats else {}
    of_the_run = pruning is None and bool(wanted) and {*wanted["formats"]} <= {*OF_THE_RUN}
    found = "" if of_the_run else _pruning(chosen, pruning, run).id
    spec = read({"kind": "export", "pruning": found, **wanted})
    _require_free(out)
    sys.exit(_done(chosen, spec, as_json, out))


OWN: Mapping[str, click.Command] = MappingProxyType({"export": export_command})


def _pruning(run: Run, named: str | None, called: str) -> DerivedJob:
    """Return the pruning that is named, or the newest that is done."""
    found = find_derived_job(run, "prune", named) if named else newest_job(run, "prune")
    if found is None:
        raise click.UsageError(f"`RUN` must be pruned first, got {run.id}, which is not. Run winnow prune {called}.")
    return found


def _require_free(out: str | None) -> None:
    """Refuse a folder that is not empty: a user's files are never overwritten."""
    if out is not None and Path(out).exists() and any(Path(out).iterdir()):
        raise click.UsageError(f"`--out` must be a new or an empty folder, got {out}.")


def _done(run: Run, spec: DerivedSpec, as_json: bool, out: str | None = None) -> int:
    """Do the job in a worker and show its results; return the exit code."""
    return _again(derived_job(run, spec), as_json, out)


def _again(work: DerivedJob, as_json: bool, out: str | None = None) -> int:
    """Start a job that waits or ended early, and show its results; return the exit code."""
    run = work.run
    launch.start(work)
    if attend(work, f"{run.spec.name}, {work.kind}", quiet=as_json):
        return 130
    status = work.status
    if status.state == "done" and out is not None:
        shutil.copytree(work.path / "files", out, dirs_exist_ok=True)
    if as_json:
        click.echo(json.dumps(job_outcome(run, work), allow_nan=False))
    elif status.state == "done":
        _say(work, out)
    else:
        click.echo(f"{work.id} {status.state}: {status.message}", err=True)
    return 0 if status.state in ("done", "stopped") else 1


def job_outcome(run: Run, work: DerivedJob) -> dict[str, Any]:
    """Return the state of a derived job, and its main tables as records."""
    status = work.status
    tables = {name: records(work.table(name)) for name in JOBS[work.kind].tables if _has(work, name)}
    return {
        "run": run.id,
        work.kind: work.id,
        "folder": str(work.path),
        "state": status.state,
        "message": status.message,
        **tables,
    }


def _say(work: DerivedJob, out: str | None) -> None:
    for name in JOBS[work.kind].tables:
        if _has(work, name):
            shown = _condensed(name, work.table(name))
            click.echo(shown.to_string(index=False, float_format="{:.4g}".format, na_rep="–") + "\n")
    if work.kind == "explain" and _has(work, "faithfulness"):
        for _, figures in work.table("faithfulness").groupby("method", sort=False):
            click.echo("{}: {}".format(*badge(figures)))
    if _has(work, "circuit_figures"):
        figures, tasks = work.table("circuit_figures"), work.run.spec.tasks
        click.echo(circuits_answer(figures, work.table("circuit_overlaps"), tasks))
        click.echo("circuits: {}: {}".format(*circuit_verdict(figures)))
    click.echo(out or str(work.path))


def _condensed(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table that fits a terminal: one row per metric or figure, a column per model or task."""
    if name == "metrics":
        order = list(dict.fromkeys(frame["model"]))
        return frame.pivot_table(index=["task", "metric", "unit"], columns="model", values="value", sort=False)[
            order
        ].reset_index()
    if name == "faithfulness":
        whole = frame[frame["layer"] == ""]
        return whole.pivot_table(index=["method", "figure"], columns="task", values="value", sort=False).reset_index()
    if name == "layers":
        counts = frame.pivot_table(index="layer", columns="label", values="channels", sort=False, fill_value=0)
        return counts.reset_index()
    if name == "circuit_figures":
        return frame[["task", "level", "edges", "kept", "share", "faithfulness", "completeness", "random", "missed"]]
    if name == "circuit_overlaps":
        return frame.loc[frame["layer"] == "", ["task", "other", "jaccard", "low", "high", "chance"]]
    return frame


def _has(work: DerivedJob, name: str) -> bool:
    return (work.path / "tables" / f"{name}.parquet").is_file()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows with values that JSON has."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return [{k: v for k, v in row.items() if not (isinstance(v, float) and math.isnan(v))} for row in rows]
