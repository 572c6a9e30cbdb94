"""`winnow report`, started by the command in a process of its own, as the dashboard is; and the job of its page."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path

import click
import psutil

from winnow.dashboard.report.building import HTML, ZIP, Build, inputs, tell
from winnow.dashboard.report.report import ReportFiles, chapter_of, report
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, find
from winnow.engine.runs.study import Study, find_study

WRONG = (OSError, ValueError, KeyError, TypeError)


@click.command()
@click.argument("runs", nargs=-1)
@click.option("--study", default=None)
@click.option("--output", default=None, type=click.Path(path_type=Path))
@click.option("--into", default=None, type=click.Path(path_type=Path))
def report_main(runs: tuple[str, ...], study: str | None, output: Path | None, into: Path | None) -> None:
    """Write the report and its zip; what is wrong is one line and exit code 2, and nothing is written."""
    try:
        works: list[Run | Study] = [*(find(name) for name in runs), *([find_study(study)] if study else [])]
        if into is not None:
            _job(works, into)
        if output is not None:
            _written(_made(works), output, output.with_suffix(".zip"))
    except WRONG as error:
        click.echo(f"winnow: {_line(error)}", err=True)
        sys.exit(2)


def _job(works: Sequence[Run | Study], folder: Path) -> None:
    """Make the report into a folder, and say there how far it is."""
    own = psutil.Process()
    known = Build("building", "", time.time(), tuple(work.id for work in works), inputs(works))
    known = changed(known, pid=os.getpid(), created=own.create_time())
    tell(folder, known)
    try:
        made = _made(works)
        replace(folder / HTML, made.html)
        replace(folder / ZIP, made.zip)
        tell(folder, changed(known, state="done", outline=outline(works[0])))
    except Exception as error:
        tell(folder, changed(known, state="failed", message=_line(error)))
        raise


def outline(work: Run | Study) -> tuple[dict[str, object], ...]:
    """Return all sections of a chapter in the usual order: key, question, claim, and key and reading of each figure."""
    return tuple(
        {
            "key": section.key,
            "question": section.question,
            "claim": section.claim,
            "figures": [{"key": shown.key, "reading": shown.reading} for shown in section.shown],
        }
        for section in chapter_of(work, usual=True).sections
    )


def _made(works: Sequence[Run | Study]) -> ReportFiles:
    studies = [work for work in works if isinstance(work, Study)]
    return report([work for work in works if isinstance(work, Run)], studies[0] if studies else None)


def _written(made: ReportFiles, output: Path, beside: Path) -> None:
    replace(output, made.html)
    replace(beside, made.zip)
    click.echo(f"{output}  {len(made.html) / 1e6:.1f} MB\n{beside}  {len(made.zip) / 1e6:.1f} MB")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    report_main()
