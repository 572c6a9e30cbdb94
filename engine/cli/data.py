"""The command `winnow data`: what is in a folder of images, and what is wrong with it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from pydantic import ValidationError

from winnow.data.checking.doctor import Finding, Progress, Report, examine, found_by
from winnow.data.checking.recognising import layout_names, spec_for
from winnow.data.sample import DataError
from winnow.engine.specs.frozen import first_line

MOST = 100  # findings that are shown; all of them with --json


@click.group("data")
def data_group() -> None:
    """Look at data sets on disk before a run starts."""


@data_group.command("check")
@click.argument("folder", metavar="DIR")
@click.option("--layout", default="", metavar="NAME", help=f"{', '.join(layout_names())}; not set: recognised")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object with all findings")
def data_check(folder: str, layout: str, as_json: bool) -> None:
    """Read every file of the data set in DIR; say what it holds and what is wrong. Exit code 1 if anything is."""
    with _progress(not as_json and sys.stderr.isatty()) as progress:
        report = _report(folder, layout, progress)
    if as_json:
        click.echo(json.dumps(report.record(), allow_nan=False, ensure_ascii=False))
    else:
        for line in lines(report):
            click.echo(line)
    sys.exit(1 if report.findings else 0)


def lines(report: Report) -> Iterator[str]:
    """Yield a report as text: the layout, each split with its tasks, then notes and findings, one a line."""
    if report.dataset:
        yield f"{report.root}: {report.dataset}{f', layout {report.layout}' if report.layout else ''}"
    for split, own in report.splits.items():
        sizes = ", ".join(own.sizes) or "none readable"
        yield f"{split}: {own.samples} samples, images {sizes}"
        for name, summary in own.record()["tasks"].items():
            yield f"  {name}: {_said(summary)}"
    yield from (f"note: {note}" for note in report.notes)
    yield from (f"WRONG {finding}" for finding in report.findings[:MOST])
    if len(report.findings) > MOST:
        yield f"… and {len(report.findings) - MOST} more: see --json"
    count = len(report.findings)
    yield "nothing is wrong" if not count else f"{count} {'finding' if count == 1 else 'findings'}"


def _said(summary: dict[str, object]) -> str:
    """Return what a field holds in a line."""
    start = f"{summary['kind']}, {summary['images']} images, {100 * float(str(summary['known'])):.1f} % known"
    shares = summary.get("shares")
    if isinstance(shares, dict):
        shown = [f"{name} {100 * share:.1f} %" for name, share in shares.items()]
        return f"{start}: {', '.join(shown[:12])}{' …' if len(shown) > 12 else ''}"
    if "least" in summary:
        numbers = " / ".join(f"{float(str(summary[part])):.4g}" for part in ("least", "mean", "largest"))
        return f"{start}: {numbers} {summary['unit']} (least / mean / largest)"
    return start


def _report(folder: str, layout: str, progress: Progress | None) -> Report:
    """Return what the doctor found; a folder that cannot be described is its only finding."""
    try:
        return examine(spec_for(folder, layout), progress)
    except ValidationError as error:
        inner = error.errors()[0].get("ctx", {}).get("error")
        wrong = found_by(inner) if isinstance(inner, DataError) else None
        return Report(root=folder, findings=[wrong or Finding(folder, "data", "described rightly", first_line(error))])
    except DataError as error:
        return Report(root=folder, findings=[found_by(error)])


@contextmanager
def _progress(shown: bool) -> Iterator[Progress | None]:
    """Give what draws a bar on standard error, None where nobody would see it."""
    if not shown:
        yield None
        return
    with click.progressbar(length=1, label="reading", file=sys.stderr) as bar:

        def draw(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield draw
