"""The command `winnow`: the jobs of the dashboard, from a terminal.

Exit codes: 0 done; 1 the run failed, and its folder says why; 2 the request was wrong, and nothing was written; 130
stopped from the keyboard. With --json the last line of standard output is one JSON object.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from winnow.data.joined import confirm_caches
from winnow.engine.cli._help_sections import SectionedCommand
from winnow.engine.cli.data import data_group
from winnow.engine.cli.data_recipes import NOT_REPEATED, RECIPES, with_recipe
from winnow.engine.cli.derived import commands
from winnow.engine.cli.doctor import doctor_command
from winnow.engine.cli.follow import attend, outcome
from winnow.engine.cli.options import require_alone, spec_of, spec_options
from winnow.engine.cli.own import import_command, trust_command
from winnow.engine.cli.report import report_command
from winnow.engine.cli.runs import figures, runs_group
from winnow.engine.cli.serve import dashboard_command, demo_command
from winnow.engine.cli.studies import path_command, study_command, tailor_command
from winnow.engine.runs import launch
from winnow.engine.runs.digests import digest, newest_source
from winnow.engine.runs.run import Run, create, find, runs_folder
from winnow.engine.runs.trackers import REPORT_TO, TRACKERS, require_trackers
from winnow.engine.runs.undo import undo
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse

STARTS = ("weights_from", "teacher", "distillation")
USUAL_IMITATION = 0.5  # of a teacher: as much as of the labels
REMOVED_BY_EMPTY = ("--name", "--note")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="winnow-mtl")
def winnow() -> None:
    """Train multi-task networks under group sparsity, and see which features each task relies on."""


@winnow.command("train", cls=SectionedCommand)
@click.option("--tasks", default=None, help="tasks, separated by commas; not set: the first three of the data set")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
@click.option("--recipe", default=None, metavar="NAME", help=f"options of a published experiment: {', '.join(RECIPES)}")
@click.option(
    "--faithful", is_flag=True, help="with --recipe: also repeat what we consider mistakes in its published code"
)
@click.option("--replay", default=None, metavar="RUN", help="repeat RUN, with the changes of the strength made live")
@click.option("--resume", default=None, metavar="RUN", help="continue RUN, which was stopped or lost")
@click.option("--before-removal", is_flag=True, help="with --resume: undo the last removal and continue from before it")
@click.option(
    "--weights-from",
    default=None,
    metavar="FILE",
    help="weights to start with, of the same network: .safetensors, or a state_dict that torch.save wrote",
)
@click.option(
    "--teacher",
    default=None,
    metavar="RUN",
    help="run whose network to imitate, besides learning from the labels; it must have these tasks",
)
@click.option(
    "--distillation",
    type=click.FloatRange(0, 1, min_open=True),
    default=None,
    help="with --teacher: weight of imitating it, 0.5 if not set; 1: learn from it alone",
)
@click.option(
    "--report-to",
    multiple=True,
    type=click.Choice(list(TRACKERS)),
    help="also send the numbers to a tracker; may be given several times; give it again with --resume",
)
@spec_options
def train_command(**given: Any) -> None:
    """Train a network. Its results go to a run folder, which the dashboard shows."""
    as_json, undone, faithful = (given.pop(name) for name in ("as_json", "before_removal", "faithful"))
    if names := given.pop("report_to"):
        require_trackers(names)
        os.environ[REPORT_TO] = ",".join(names)  # the worker inherits it
    again = (given.pop("replay"), given.pop("resume"))
    if faithful:
        if any(again):
            raise click.UsageError("`--faithful` must come with `--recipe NAME`, got a run that has its options.")
        given = with_recipe(given.get("recipe"), given, faithful=True)
        click.echo(f"parts of the published code that are not repeated: {NOT_REPEATED}", err=True)
    run = _asked(*again, undone, given)
    launch.start(run)
    sys.exit(_follow(run, as_json))


def _asked(replayed: str | None, resumed: str | None, undone: bool, given: Mapping[str, Any]) -> Run:
    """Return the run to work on: a new one, the repetition of one, or one to continue."""
    if undone and resumed is None:
        raise click.UsageError("`--before-removal` must come with `--resume RUN`, got none.")
    if resumed is not None:
        require_alone("--resume", {"replay": replayed, **given})
        run = find(resumed)
        if undone:
            undo(run)
        return run
    if replayed is not None:
        require_alone("--replay", given)
        return create(find(replayed).replay())
    start, given = _start(given)
    spec = spec_of(with_recipe(given.get("recipe"), given))
    confirm_caches(spec.data)
    return create(parse(spec.model_dump() | {"start": start}) if start else spec)


def _start(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the options say a run takes over from files and runs, and the other options."""
    rest, start = dict(given), dict[str, Any]()
    file, teacher, weight = (rest.pop(name) for name in STARTS)
    if file is not None:
        start["file"] = _weights_file(Path(file).resolve())
    if teacher is not None:
        start |= {
            "teacher": newest_source(find(teacher).path),
            "distillation": USUAL_IMITATION if weight is None else weight,
        }
    elif weight is not None:
        raise SpecError(f"`distillation` must come with --teacher RUN, got {weight:g} without.")
    return start, rest


def _weights_file(path: Path) -> dict[str, str]:
    try:
        return {"path": str(path), "sha256": digest(path.read_bytes())}
    except OSError as error:
        raise SpecError(f"`weights-from` must be a file, got {path}: {error.strerror}.") from error


def _follow(run: Run, as_json: bool) -> int:
    """Show the run's progress until it ends; return the exit code."""
    if attend(run, run.spec.name, quiet=as_json):
        click.echo(f"stopped; to continue: winnow train --resume {run.id}", err=True)
        return 130
    result = outcome(run)
    if as_json:
        click.echo(json.dumps(result, allow_nan=False))
    elif result["state"] == "done":
        click.echo(figures(result))
        if result["message"]:
            click.echo(f"{run.id}: {result['message']}", err=True)
    else:
        click.echo(f"{run.id} {result['state']}: {result['message']}", err=True)
    return 0 if result["state"] in ("done", "stopped") else 1


for _derived in commands():
    winnow.add_command(_derived)
winnow.add_command(data_group)
winnow.add_command(trust_command)
winnow.add_command(import_command)
winnow.add_command(study_command)
winnow.add_command(path_command)
winnow.add_command(tailor_command)
winnow.add_command(runs_group)
winnow.add_command(dashboard_command)
winnow.add_command(demo_command)
winnow.add_command(report_command)
winnow.add_command(doctor_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a wrong request is one line on standard error and exit code 2."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _refuse_empty(given)
        winnow.main(args=given, prog_name="winnow", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"winnow: {error.format_message()}", err=True)
        sys.exit(2)
    except (SpecError, OSError, launch.JobError, ValueError) as error:
        click.echo(f"winnow: {_one_line(error)}", err=True)
        sys.exit(2)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise where an argument is empty, as of a shell's variable that is not set: it must not count as left out.

    A name or a note of a channel may be: that removes it.
    """
    removes = REMOVED_BY_EMPTY if arguments[:2] == ["runs", "name-channel"] else ()
    for before, own in pairwise(["winnow", *arguments]):
        option, equals, value = own.partition("=")
        empty = not own.strip() or (own.startswith("--") and equals and not value.strip())
        if empty and (option if equals else before) not in removes:
            where = f"`{option}` must have a value" if equals else f"a value must follow `{before}`"
            raise click.UsageError(f"{where}, got an empty one. Give one, or leave the option out.")


def _one_line(error: Exception) -> str:
    """Say what was wrong; of what the system refused, the file and why."""
    if isinstance(error, OSError) and error.strerror:
        where = f"`{error.filename}` " if error.filename else ""
        ours = not error.filename or runs_folder() in Path(os.fsdecode(error.filename)).absolute().parents
        mend = " Set WINNOW_RUNS to a folder that you may write to." if ours else ""
        return f"{where}cannot be used here: {error.strerror}.{mend}"
    return " ".join(str(error).split())
