"""The command `winnow`: the jobs of the dashboard, from a terminal.

Exit codes: 0 done; 1 the run failed, and its folder says why; 2 the request was wrong, and nothing was written; 130
stopped from the keyboard. With --json the last line of standard output is one JSON object.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from winnow.engine.cli._help_sections import SectionedCommand
from winnow.engine.cli.data import data_group
from winnow.engine.cli.derived import commands
from winnow.engine.cli.follow import attend, outcome
from winnow.engine.cli.options import require_alone, spec_of, spec_options
from winnow.engine.cli.own import import_command, trust_command
from winnow.engine.cli.studies import path_command, study_command
from winnow.engine.runs import launch
from winnow.engine.runs.quantities import SPARSITIES
from winnow.engine.runs.run import Run, create, find, list_runs, runs_folder
from winnow.engine.runs.undo import undo
from winnow.engine.runs.verify import verify
from winnow.engine.runs.work_folder import refused
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="winnow-mtl")
def winnow() -> None:
    """Train multi-task networks under group sparsity, and see which features each task relies on."""


@winnow.command("train", cls=SectionedCommand)
@click.option("--tasks", default=None, help="tasks, separated by commas; not set: the first three of the data set")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
@click.option("--replay", default=None, metavar="RUN", help="repeat RUN, with the changes of the strength made live")
@click.option("--resume", default=None, metavar="RUN", help="continue RUN, which was stopped or lost")
@click.option("--before-removal", is_flag=True, help="with --resume: undo the last removal and continue from before it")
@click.option(
    "--weights-from",
    default=None,
    metavar="FILE",
    help="weights to start with, of the same network: .safetensors, or a state_dict that torch.save wrote",
)
@spec_options
def train_command(**given: Any) -> None:
    """Train a network. Its results go to a run folder, which the dashboard shows."""
    as_json, undone = (given.pop(name) for name in ("as_json", "before_removal"))
    run = _asked(given.pop("replay"), given.pop("resume"), undone, given)
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
    return create(spec_of(given))


def _follow(run: Run, as_json: bool) -> int:
    """Show the run's progress until it ends; return the exit code."""
    if attend(run, run.spec.name, quiet=as_json):
        click.echo(f"stopped; to continue: winnow train --resume {run.id}", err=True)
        return 130
    result = outcome(run)
    if as_json:
        click.echo(json.dumps(result, allow_nan=False))
    elif result["state"] == "done":
        click.echo(_figures(result))
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


@winnow.group("runs")
def runs_group() -> None:
    """List runs, show one, check one, remove one."""


@runs_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def runs_list(as_json: bool) -> None:
    """List all runs, newest first."""
    found = [_outcome(run) for run in list_runs()]
    if as_json:
        click.echo(json.dumps({"runs": found}, allow_nan=False))
        return
    for name, why in refused(runs_folder()).items():
        click.echo(f"{name} is not shown: {why}", err=True)
    for entry in found:
        click.echo(f"{entry['run']:44} {entry['state']:8} epoch {entry['epoch']:4}  {_figures(entry)}")
    if not found:
        click.echo("no runs yet. Start the first one with `winnow demo`.")


@runs_group.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def runs_show(run: str, as_json: bool) -> None:
    """Show what RUN was asked to do, and what came out."""
    chosen = find(run)
    result = {"run": chosen.id, "folder": str(chosen.path), **outcome(chosen)}
    if as_json:
        click.echo(json.dumps({**result, "spec": chosen.spec.model_dump(mode="json")}, allow_nan=False))
        return
    for key, value in result.items():
        click.echo(f"{key:10} {value}")
    click.echo(chosen.spec.model_dump_json(indent=1))


@runs_group.command("verify")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def runs_verify(run: str, as_json: bool) -> None:
    """Check every file of RUN, checkpoints by their digests. Exit code 1 if one is damaged."""
    chosen = find(run)
    findings = verify(chosen)
    if as_json:
        click.echo(json.dumps({"run": chosen.id, "files": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(f"{'whole  ' if finding.whole else 'DAMAGED'} {finding.file:34} {finding.detail}")
    sys.exit(0 if all(finding.whole for finding in findings) else 1)


@runs_group.command("rm")
@click.argument("run")
@click.option("--yes", is_flag=True, help="do not ask")
def runs_remove(run: str, yes: bool) -> None:
    """Remove the folder of RUN with everything in it."""
    chosen = find(run)
    if chosen.alive():
        raise click.UsageError(f"`RUN` must have ended, got {chosen.id}: {chosen.status.state}. Stop it first.")
    if not yes:
        click.confirm(f"remove {chosen.path}?", abort=True)
    chosen.remove()


@winnow.command()
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="TCP port on 127.0.0.1")
@click.option("--browser/--no-browser", default=True, show_default=True, help="open a browser window")
def dashboard(port: int, browser: bool) -> None:
    """Open the dashboard."""
    sys.exit(_serve(port, browser))


@winnow.command("demo")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="TCP port on 127.0.0.1")
@click.option("--browser/--no-browser", default=True, show_default=True, help="open a browser window")
def demo_command(port: int, browser: bool) -> None:
    """Train on the embedded rooms, about 2 minutes on 2 cores, and open the dashboard on the live run."""
    run = create(demo())
    launch.start(run)
    click.echo(f"training {run.id}; it continues when the page is closed")
    sys.exit(_serve(port, browser, f"/train?run={run.id}"))


def _serve(port: int, browser: bool, page: str = "") -> int:
    """Run the dashboard's server until it is interrupted or asked to end; it never outlives this command."""
    import signal
    import subprocess

    found = find_spec("winnow.dashboard.app")
    if found is None or found.origin is None:
        raise click.UsageError("the dashboard is not installed. Do pip install winnow-mtl.")
    address = f"http://127.0.0.1:{port}{page}"
    click.echo(f"dashboard: {address}")
    flags = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app = Path(found.origin)
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "streamlit", "run", str(app), *flags],
        cwd=app.parent,  # Streamlit also reads .streamlit/config.toml of the working folder: here it is ours
        env={**os.environ, **launch.safe_path(), "WINNOW_RUNS": str(runs_folder())},
    )
    try:
        if browser:
            click.launch(address)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _outcome(run: Run) -> dict[str, Any]:
    """Return the outcome of a run; where a file of it is damaged, that and no figures."""
    try:
        return outcome(run)
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = " ".join(str(error).split())[:200]
        figures: dict[str, Any] = {"epoch": 0, "metrics": {}, **dict.fromkeys(SPARSITIES)}
        return {"run": run.id, "name": "", "state": "damaged", "message": message, **figures}


def _figures(entry: Mapping[str, Any]) -> str:
    metrics = [
        f"{task} {value:.4g}{'' if unit in ('', '1') else f' {unit}'}"
        for task, (_, value, unit) in entry["metrics"].items()
    ]
    sparse = entry["group_sparsity"]
    return "  ".join([*metrics, *([f"{sparse:.1f} % of groups zero"] if sparse is not None else [])])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a wrong request is one line on standard error and exit code 2."""
    try:
        winnow.main(args=arguments, prog_name="winnow", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"winnow: {error.format_message()}", err=True)
        sys.exit(2)
    except (SpecError, OSError, launch.JobError, ValueError) as error:
        click.echo(f"winnow: {_one_line(error)}", err=True)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    """Say what was wrong; of what the system refused, the file and why."""
    if isinstance(error, OSError) and error.strerror:
        where = f"`{error.filename}` " if error.filename else ""
        return f"{where}cannot be used here: {error.strerror}. Set WINNOW_RUNS to a folder that you may write to."
    return " ".join(str(error).split())
