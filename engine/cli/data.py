"""The commands `winnow data …`: what is in a data set and what is wrong with it; data sets by a name of their own."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import ValidationError

from winnow.data.catalog import DATASETS
from winnow.data.checking.doctor import Finding, Progress, Report, examine, found_by
from winnow.data.checking.recognising import layout_names, spec_for
from winnow.data.registered import built_in, forget, named_spec, register, registered
from winnow.data.sample import DataError
from winnow.engine.cli.follow import attend
from winnow.engine.runs import launch
from winnow.engine.runs.look import create_look
from winnow.engine.specs.frozen import SpecError, first_line
from winnow.engine.specs.look import parse_look

MOST = 100  # findings that are shown; all of them with --json
LAYOUT_HELP = f"{', '.join(layout_names())}; not set: recognised from the files"


@click.group("data")
def data_group() -> None:
    """Look at data sets on disk before a run starts."""


@data_group.command("add")
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="DIR")
@click.option("--layout", default="", metavar="NAME", help=LAYOUT_HELP)
def data_add(name: str, folder: str, layout: str) -> None:
    """Register the data set in DIR as NAME. The option --dataset and the form then offer it. Nothing is copied."""
    try:
        spec = register(name, folder, layout)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
    kind = "/".join(filter(None, (spec.dataset, getattr(spec, "layout", ""))))
    click.echo(f"{name}: {kind} in {spec.root}\nTo train on it: winnow train --dataset {name}")


@data_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def data_list(as_json: bool) -> None:
    """List the registered and the built-in data sets."""
    known = registered()
    if as_json:
        click.echo(json.dumps({"registered": known, "built_in": built_in()}, ensure_ascii=False))
        return
    for name, own in known.items():
        gone = "" if Path(own["root"]).is_dir() else "  (this folder no longer exists)"
        click.echo(f"{name}: {'/'.join(filter(None, (own['dataset'], own.get('layout', ''))))} in {own['root']}{gone}")
    for name in built_in():
        click.echo(f"{name}: {DATASETS[name].summary}")


@data_group.command("rm")
@click.argument("name", metavar="NAME")
def data_rm(name: str) -> None:
    """Take NAME off the list of registered data sets. Its files stay, and so do the runs that used it."""
    forget(name)
    click.echo(f"{name} is no longer registered; its files are untouched")


@data_group.command("look")
@click.argument("name", metavar="NAME")
@click.option("--pictures", type=int, default=None, help="samples of each split to keep pictures of  [default: 8]")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end")
def data_look(name: str, pictures: int | None, as_json: bool) -> None:
    """Read every sample of NAME, for the page Data. Keeps pictures and histograms. Names: winnow data list."""
    values = {"name": name, "data": named_spec(name), "pictures": pictures}
    look = create_look(parse_look({option: value for option, value in values.items() if value is not None}))
    launch.start(look)
    stopped = attend(look, name, quiet=as_json)
    status = look.status
    found = len(look.table("findings")) if status.state == "done" else None
    if as_json:
        said = {"look": look.id, "state": status.state, "message": status.message, "findings": found}
        click.echo(json.dumps(said, ensure_ascii=False))
    elif found is not None:
        click.echo(f"{name}: {found} {'finding' if found == 1 else 'findings'}. See the page Data: winnow dashboard")
    else:
        click.echo(f"{look.id} {status.state}: {status.message}", err=True)
    sys.exit(130 if stopped else 0 if status.state == "done" else 1)


@data_group.command("check")
@click.argument("folder", metavar="DIR")
@click.option("--layout", default="", metavar="NAME", help=LAYOUT_HELP)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object with all findings")
def data_check(folder: str, layout: str, as_json: bool) -> None:
    """Read every file of the data set in DIR. Reports what it holds and what is wrong; then the exit code is 1."""
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
