"""`winnow report`, started by the command in a process of its own, as the dashboard is."""

import sys
from pathlib import Path

import click

from winnow.dashboard.report.report import report
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import find
from winnow.engine.runs.study import find_study


@click.command()
@click.argument("runs", nargs=-1)
@click.option("--study", default=None)
@click.option("--output", required=True, type=click.Path(path_type=Path))
def main(runs: tuple[str, ...], study: str | None, output: Path) -> None:
    """Write the report and its zip; what is wrong is one line and exit code 2, and nothing is written."""
    try:
        made = report([find(name) for name in runs], find_study(study) if study else None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        click.echo(f"winnow: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    beside = output.with_suffix(".zip")
    replace(output, made.html)
    replace(beside, made.zip)
    click.echo(f"{output}  {len(made.html) / 1e6:.1f} MB\n{beside}  {len(made.zip) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
