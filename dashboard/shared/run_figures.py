"""The figures of a run, cached until its files change.

Building a Plotly figure takes some tens of milliseconds, more than all else on the page. A finished run is therefore
drawn once, and so is a live one by all that look on. A figure that is handed out is never changed.
"""

from pathlib import Path

import pandas as pd

from winnow.dashboard.figures import (
    firmness,
    kernel,
    layer_counts,
    layer_norms,
    losses_and_metrics,
    norm_spread,
    one_channel,
    sparsities,
    strength_and_alive,
    task_conflict,
)
from winnow.dashboard.figures.style import Style, styles
from winnow.dashboard.frames import channel_states, current, events, groups
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.file_versions import Version, latest, paced, version
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.shared.formatting import COUNTED
from winnow.dashboard.shared.panel import Chart
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

_growing = paced(1.9)  # s: of a live run; just below the 2 s of Train, or every second drawing would be old


def training_charts(run: Run, since: float) -> tuple[Chart, Chart, Chart]:
    """Return losses and metrics, strength and groups alive, and the three sparsities, from epoch `since` on."""
    return _training(run.path, _log(run), since)


def together_charts(run: Run, since: float) -> tuple[Chart, Chart]:
    """Return the conflict between each two tasks, and the weights of the tasks; the latter's frame may be empty."""
    return _tasks_together(run.path, _log(run), since)


def sparsity_plan(run: Run) -> sparsities.SparsityPlan:
    """Return what a run aims at."""
    penalty = run.spec.penalty
    refit = run.spec.epochs * (1 - penalty.refit_share) if penalty.refit_share else None
    return sparsities.SparsityPlan(next(reversed(events.targets_asked(run)), None), COUNTED[penalty.target_of], refit)


def layers_chart(run: Run, since: float) -> Chart:
    """Return the median norm of every layer."""
    return _layers(run.path, version(run.path / "groups" / "norms.bin"), since)


def channels_chart(run: Run, layer: str, since: float) -> Chart:
    """Return the norms of all channels of a layer."""
    return _channels(run.path, version(run.path / "groups" / "norms.bin"), layer, since)


def layers_now_charts(run: Run) -> tuple[Chart, Chart]:
    """Return the counts of every layer, and the spread of its norms, as they stand."""
    return _layers_now(run.path, *_now(run))


def firmness_chart(run: Run) -> Chart:
    """Return how firmly dead the dead are."""
    return _firm(run.path, current.tables_version(run))


def channel_charts(run: Run, chosen: Cell) -> tuple[Chart, Chart]:
    """Return the record of one channel, and its kernels."""
    return _channel(run.path, *_now(run), chosen)


def _log(run: Run) -> Version:
    """Return the version of the log that is to be drawn; of an ended run, which is drawn once, what there is."""
    return (_growing if run.status.state in LIVE else version)(run.path / "events.jsonl")


def _now(run: Run) -> tuple[Version, Version]:
    return version(run.path / "groups" / "norms.bin"), current.tables_version(run)


@latest(32)
def _training(path: Path, _log: Version, since: float) -> tuple[Chart, Chart, Chart]:
    run = Run(path)
    curves, regularity, counts = events.curves(run, since), events.regularity(run, since), events.sparsities(run, since)
    aim = sparsity_plan(run)
    return (
        Chart(losses_and_metrics.losses_and_metrics(curves, tasks(run.spec), _looks(run)), curves),
        Chart(strength_and_alive.strength_and_alive(regularity, _user_changes(run), aim.refit), regularity),
        Chart(sparsities.sparsities_figure(counts, aim, events.removals(run)), counts),
    )


def _user_changes(run: Run) -> pd.DataFrame:
    """Return where a user changed the strength or the target."""
    made = pd.concat([events.strength_changes(run), events.target_changes(run)], ignore_index=True)
    return made.sort_values("at", kind="stable", ignore_index=True)


def _looks(run: Run) -> dict[str, Style]:
    return styles(list(run.spec.data.fields))


@latest(32)
def _tasks_together(path: Path, _log: Version, since: float) -> tuple[Chart, Chart]:
    run = Run(path)
    conflict, weights = events.conflict_frame(run, since), events.weights(run, since)
    return (
        Chart(task_conflict.task_conflict(conflict, _looks(run)), conflict),
        Chart(task_conflict.task_weights(weights, _looks(run)), weights),
    )


@latest(32)
def _layers(path: Path, _rows: Version, since: float) -> Chart:
    frame = groups.layer_norms(Run(path), since)
    return Chart(layer_norms.median_norms(frame), frame)


@latest(64)
def _channels(path: Path, _rows: Version, layer: str, since: float) -> Chart:
    frame = groups.channel_norms(Run(path), layer, since)
    return Chart(layer_norms.channel_norms_figure(frame, layer), frame)


@latest(32)
def _layers_now(path: Path, _rows: Version, _tables: Version) -> tuple[Chart, Chart]:
    run = Run(path)
    frame, every = channel_states.layers(run), channel_states.channels(run)
    near = every[every["state"] == "near"]
    return (
        Chart(layer_counts.layer_counts(frame), frame),
        Chart(norm_spread.norm_spread(frame, near), frame),
    )


@latest(32)
def _firm(path: Path, _tables: Version) -> Chart:
    known = current.groups(Run(path))
    dead = known.loc[known["state"] == "dead", ["layer", "channel", "size", "firmness"]].reset_index(drop=True)
    return Chart(firmness.firmness(dead["firmness"].dropna()), dead)


@latest(128)
def _channel(path: Path, _rows: Version, _tables: Version, chosen: Cell) -> tuple[Chart, Chart]:
    record = groups.channel_record(Run(path), chosen.layer, chosen.channel)
    positions = current.kernel(Run(path), chosen.layer, chosen.channel)
    return Chart(one_channel.one_channel(record), record), Chart(kernel.kernel_figure(positions), positions)
