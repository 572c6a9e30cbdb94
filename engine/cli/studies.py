"""`winnow study` and `winnow path`: many runs and what they say together, from a terminal."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from winnow.data.joined import confirm_caches
from winnow.engine.cli._help_sections import SectionedCommand
from winnow.engine.cli.derived import records
from winnow.engine.cli.follow import attend
from winnow.engine.cli.options import (
    flat_options,
    flat_values,
    require_alone,
    spec_of,
    spec_options,
    training_options,
)
from winnow.engine.runs import launch
from winnow.engine.runs.reading import checked_table
from winnow.engine.runs.run import find
from winnow.engine.runs.study import Study, create_study, find_study
from winnow.engine.specs.study import PathSpec, StudySpec, TailorSpec, parse_many
from winnow.engine.specs.train import TrainSpec
from winnow.engine.studies.depth_advice import advice_sentence
from winnow.engine.studies.plan import plan
from winnow.engine.studies.reporting_tables import FORMATS, csv_text, paper_table
from winnow.engine.studies.spec_hash import KnownRuns

LEFT_OUT = ("seed", "keep", "test", "target")  # a study sets these for each of its runs
OWN = ("only_plan", "resume", "show", "out", "here", "as_json")  # options that are not about its spec
SHOWN = {
    "study": ("members", "summary", "delta", "comparisons", "unseen"),
    "path": ("members", "path"),
    "tailor": ("members", "advice", "depth", "summary", "delta"),
}
HIDDEN = ("name", "base", "cluster")
OF_ARMS = (
    "subsets",
    "balancings",
    "controls",
    "warm",
    "distillation",
    "unseen",
    "evidence",
)  # no options of a tailoring


class _ManyCommand(SectionedCommand):
    """A command with the options of a training run, except those that a study sets."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params = [parameter for parameter in self.params if parameter.name not in LEFT_OUT]


def _shared(command: Any) -> Any:
    options = (
        click.option(
            "--tasks", default=None, help="tasks, separated by commas; not set: the first three of the data set"
        ),
        click.option("--plan", "only_plan", is_flag=True, help="show the runs that this needs; write nothing"),
        click.option("--resume", default=None, metavar="NAME", help="continue NAME, which was stopped or lost"),
        click.option("--show", default=None, metavar="NAME", help="show the results of NAME"),
        click.option("--out", default=None, type=click.Path(file_okay=False), help="write the tables to this folder"),
        click.option(
            "--cluster",
            default=None,
            type=click.Path(exists=True, dir_okay=False),
            help="YAML file for a Dask cluster: cluster (slurm, pbs, lsf or sge), jobs, and options of dask-jobqueue",
        ),
        click.option("--here", is_flag=True, help="with --resume: train on this machine, wherever it ran before"),
        click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("study", cls=_ManyCommand)
@_shared
@flat_options(StudySpec, HIDDEN)
@spec_options
def study_command(**given: Any) -> None:
    """Train sets of tasks, dense and sparse, and compare them. Controls and several seeds are included.

    A run has 1 thread unless --threads says otherwise.
    """
    sys.exit(_many(StudySpec, given))


@click.command("path", cls=_ManyCommand)
@_shared
@flat_options(PathSpec, HIDDEN)
@spec_options
def path_command(**given: Any) -> None:
    """Train along a grid of targets or strengths. This shows what sparsity costs.

    A run has 1 thread unless --threads says otherwise, and keeps a snapshot at every 5 % of sparsity unless --snapshots
    says otherwise.
    """
    sys.exit(_many(PathSpec, given))


@click.command("tailor", cls=_ManyCommand)
@_shared
@click.option(
    "--evidence",
    default=None,
    metavar="RUN,…",
    help="sparse runs of single tasks to read instead of training new ones; all of one network and data",
)
@flat_options(TailorSpec, (*HIDDEN, *OF_ARMS))
@spec_options
def tailor_command(**given: Any) -> None:
    """Find how deep each task needs the trunk. Then train a network with each head at its own stage.

    Sparse runs of each task alone show which layers stay alive in all seeds. With --evidence you name such runs,
    and the network, the data and all options of training are those of the first of them.
    """
    sys.exit(_many(TailorSpec, given))


def _many(model: type[StudySpec] | type[PathSpec], given: Mapping[str, Any]) -> int:
    """Do what was asked; return the exit code."""
    for alone, other in (("show", "resume"), ("resume", "show")):
        if given[alone]:
            unused = {"plan": given["only_plan"] or None, other: given[other]}
            mine = (*OWN, *launch.PLACES) if alone == "resume" else OWN
            require_alone(f"--{alone}", {**unused, **{name: given[name] for name in given if name not in mine}})
    if given["show"]:
        return _shown(find_study(given["show"]), given)
    if given["resume"]:
        found = find_study(given["resume"])
    else:
        spec = _spec(model, given)
        if given["only_plan"]:
            return _planned(spec, given["as_json"])
        confirm_caches(spec.base.data)
        found = create_study(spec)
    launch.start(found, place=_place(found, given))
    if attend(found, found.spec.name, quiet=given["as_json"]):
        click.echo(f"stopped; to continue: winnow {found.spec.kind} --resume {found.id}", err=True)
        return 130
    return _shown(found, given)


def _place(found: Study, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return where the runs go, as said in this command: a folder may come from somebody else."""
    said = {"scheduler": given["scheduler"] or "", "cluster": _yaml(Path(given["cluster"])) if given["cluster"] else {}}
    if any(said.values()) and given["here"]:
        raise click.UsageError("`--here` must be left out with `--scheduler` and `--cluster`, got both.")
    if given["resume"] and not any(said.values()) and not given["here"]:
        return None
    return said


def _spec(model: type[StudySpec] | type[PathSpec], given: Mapping[str, Any]) -> StudySpec | PathSpec:
    """Return the spec that the options describe; raise `SpecError` where they make none."""
    kind = str(model.model_fields["kind"].default)
    evidence, base = _evidence(given, kind)
    unsaid = None if given["snapshots"] else {"snapshots"}  # a path has a default of its own
    described = base.model_dump(exclude=unsaid)
    values = {"kind": kind, "name": given["name"] or kind, "base": described, **flat_values(model, given)}
    if evidence:
        values["evidence"] = evidence
    if given["cluster"]:
        values["cluster"] = _yaml(Path(given["cluster"]))
    return parse_many(values)


def _evidence(given: Mapping[str, Any], kind: str) -> tuple[list[dict[str, object]], TrainSpec]:
    """Return the runs that are named instead of trained, and the base: of them, or of the options."""
    if not given.get("evidence"):
        return [], spec_of({**given, "threads": given["threads"] or "1", "name": kind})
    own = {option.name for option in training_options()} - set(TailorSpec.model_fields)
    require_alone("--evidence", {name: value for name, value in given.items() if name in own or name == "tasks"})
    runs = [find(name.strip()) for name in given["evidence"].split(",") if name.strip()]
    if several := [run.id for run in runs if len(run.spec.tasks) > 1]:
        raise click.UsageError(f"`--evidence` must name runs of a single task, got {several[0]} with several.")
    tasks = tuple(dict.fromkeys(run.spec.tasks[0] for run in runs))
    base = runs[0].spec.model_copy(update={"tasks": tasks, "name": kind, "start": None})
    return [{"run": run.id, "task": run.spec.tasks[0], "seed": run.spec.seed} for run in runs], base


def _yaml(file: Path) -> dict[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise click.UsageError(
            "`--cluster` needs a package that is not installed: pyyaml. Run pip install 'winnow-mtl[cluster]'."
        ) from error
    try:
        found = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise click.UsageError(f"`--cluster` must be a YAML file, got {file}: {error!s:.80}.") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"`--cluster` must hold names and values, got {type(found).__name__} in {file}.")
    return found


def _planned(spec: StudySpec | PathSpec, as_json: bool) -> int:
    """Say which runs a spec needs, and which of them are there already."""
    from winnow.engine.runs.run import runs_folder

    known = KnownRuns(runs_folder())
    members = plan(spec)
    there = {member.key for member in members if not member.needs.keys and known.done(member.spec)}
    if as_json:
        rows = [{"key": m.key, "waits_for": list(m.needs.keys), "there": m.key in there} for m in members]
        click.echo(json.dumps({"members": rows, "runs": len(rows), "to_train": len(rows) - len(there)}))
        return 0
    for member in members:
        waits = f"  after {', '.join(member.needs.keys)}" if member.needs.keys else ""
        click.echo(f"{member.key}{'  (there already)' if member.key in there else ''}{waits}")
    click.echo(f"{len(members)} runs, {len(members) - len(there)} to train, {spec.base.epochs} epochs each at most")
    return 0


def _shown(found: Study, given: Mapping[str, Any]) -> int:
    """Show the results of a study; return the exit code."""
    status = found.status
    if given["out"]:
        write_tables(found, Path(given["out"]))
    if given["as_json"]:
        tables = {name: records(found.table(name)) for name in SHOWN[found.spec.kind] if _has(found, name)}
        head = {found.spec.kind: found.id, "folder": str(found.path), "state": status.state, "message": status.message}
        click.echo(json.dumps({**head, **tables}, allow_nan=False))
    else:
        if _has(found, "advice"):
            click.echo(advice_sentence(found.table("advice")))
        if _has(found, "summary"):
            shown = _paper(found)
            click.echo(shown.to_string(index=False, na_rep="–") + f"\n{found.path}")
        if status.state != "done":
            click.echo(f"{found.id} {status.state}: {status.message}", err=True)
    return 0 if status.state in ("done", "stopped", "queued", "running") else 1


def _paper(found: Study) -> pd.DataFrame:
    spec = found.spec
    return paper_table(found.table("summary"), spec.base.fields, definition(found), spec.judged_on)


def write_tables(found: Study, folder: Path) -> None:
    """Write all tables of a study as CSV, and the main table in Markdown and LaTeX."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(found.path.glob("tables/*.parquet")):
        (folder / f"{file.stem}.csv").write_text(csv_text(checked_table(file)))
    if _has(found, "summary"):
        shown = _paper(found)
        for suffix, written in FORMATS.items():
            (folder / f"summary.{suffix}").write_text(written(shown))


def definition(found: Study) -> Any:
    """Return which Δ_m is shown."""
    return found.spec.definition if isinstance(found.spec, StudySpec) else "main"


def _has(found: Study, name: str) -> bool:
    return (found.path / "tables" / f"{name}.parquet").is_file()
