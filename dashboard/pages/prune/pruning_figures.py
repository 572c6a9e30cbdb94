"""The figures of a pruning, cached until its tables change, as `dashboard.shared.run_figures` keeps a run's."""

from pathlib import Path

import pandas as pd

from winnow.dashboard.figures import latencies, removed_layers, task_changes, what_if, what_is_left
from winnow.dashboard.figures.style import Style, styles
from winnow.dashboard.frames import before_after, before_after_text, prunings
from winnow.dashboard.frames import what_if as sweeps
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.shared.panel import Chart
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run


def before_after_table(run: Run, shown: DerivedJob) -> pd.DataFrame:
    """Return before and after, in words."""
    return _table(run.path, shown.path, prunings.pruning_versions(shown))


def cost_charts(shown: DerivedJob) -> tuple[Chart, Chart]:
    """Return what is left of the costs, and the times of all models."""
    return _costs(shown.path, prunings.pruning_versions(shown))


def changes_chart(run: Run, shown: DerivedJob) -> Chart:
    """Return what it costs each task."""
    return _changes(run.path, shown.path, prunings.pruning_versions(shown))


def removed_chart(shown: DerivedJob) -> Chart:
    """Return what was removed from each layer."""
    return _layers(shown.path, prunings.pruning_versions(shown))


def sweep_chart(run: Run, shown: DerivedJob, of: str) -> Chart:
    """Return the metrics along what would be removed: groups, parameters or macs."""
    return _sweep(run.path, shown.path, prunings.pruning_versions(shown), of)


@latest(32)
def _table(run: Path, shown: Path, _tables: tuple[Version, ...]) -> pd.DataFrame:
    return before_after_text.before_after(DerivedJob(shown), tasks(Run(run).spec))


@latest(32)
def _costs(shown: Path, _tables: tuple[Version, ...]) -> tuple[Chart, Chart]:
    spent = before_after.costs(DerivedJob(shown))
    titles = [before_after_text.title(row) for _, row in spent.iterrows()]
    timed = spent[spent["quantity"] == "latency"]
    return (
        Chart(what_is_left.what_is_left(spent, titles), spent),
        Chart(latencies.latencies_figure(spent, titles), timed),
    )


@latest(32)
def _changes(run: Path, shown: Path, _tables: tuple[Version, ...]) -> Chart:
    got = before_after.task_change_frame(DerivedJob(shown), tasks(Run(run).spec))
    return Chart(task_changes.task_changes(got, _looks(Run(run))), got)


@latest(32)
def _layers(shown: Path, _tables: tuple[Version, ...]) -> Chart:
    frame = prunings.removed_by_pruning(DerivedJob(shown))
    return Chart(removed_layers.removed_layers(frame), frame)


@latest(32)
def _sweep(run: Path, shown: Path, _tables: tuple[Version, ...], of: str) -> Chart:
    frame = sweeps.what_if_points(DerivedJob(shown), tasks(Run(run).spec))
    here = prunings.saved(DerivedJob(shown)).get({"groups": "group", "parameters": "parameter", "macs": "mac"}[of])
    return Chart(what_if.what_if(frame, _looks(Run(run)), what_if.Place(of, here)), frame)


def _looks(run: Run) -> dict[str, Style]:
    return styles(list(run.spec.data.fields))
