"""`winnow report`: one HTML file of what runs found, with its numbers beside it.

The dashboard makes it, in a process of its own: the engine imports nothing of the dashboard.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from winnow.engine.runs import launch
from winnow.engine.runs.run import find, runs_folder
from winnow.engine.runs.study import find_study

MAKER = "winnow.dashboard.report"


@click.command("report")
@click.argument("runs", nargs=-1, metavar="RUN…")
@click.option("--study", default=None, metavar="NAME", help="a study or path to report on, too")
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="file to write; a zip with the numbers is written beside it",
)
def report_command(runs: tuple[str, ...], study: str | None, output: Path) -> None:
    """Write an HTML file about RUN… that opens offline. A zip with its numbers is written beside it."""
    if not runs and study is None:
        raise click.UsageError("`RUN` must name a run, or `--study` a study, got none. See winnow runs list.")
    if output.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"`--output` must end in .html, got {output}.")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"`--output` must lie in a folder that exists, got {output}.")
    if find_spec("winnow.dashboard.app") is None:
        raise click.UsageError("the dashboard is not installed. Run pip install winnow-mtl.")
    named = [find(name).id for name in runs] + (["--study", find_study(study).id] if study else [])
    made = subprocess.run(
        [sys.executable, "-P", "-m", MAKER, *named, "--output", str(output.absolute())],
        env={**os.environ, **launch.safe_path(), "WINNOW_RUNS": str(runs_folder())},
        check=False,
    )
    sys.exit(made.returncode)
