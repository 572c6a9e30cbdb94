"""The figures of a run, kept as long as its files stand still.

Building a Plotly figure takes some tens of milliseconds, more than all else on the page. A finished run is therefore
drawn once, and so is a live one by all that look on. A figure that is handed out is never changed.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

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
from winnow.dashboard.frames.file_versions import Stamp, stamp
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.shared.formatting import COUNTED
from winnow.dashboard.shared.selection import Selection
from winnow.engine.runs.run import Run


@dataclass(frozen=True)
class Drawing:
    """A figure and the frame that it shows."""

    figure: go.Figure
    frame: pd.DataFrame


def training(run: Run, since: float) -> tuple[Drawing, Drawing, Drawing]:
    """Return losses and metrics, strength and groups alive, and the three sparsities, from epoch `since` on."""
    return _training(run.path, stamp(run.path / "events.jsonl"), since)


def tasks_together(run: Run, since: float) -> tuple[Drawing, Drawing]:
    """Return the conflict between each two tasks, and the weights of the tasks; the latter's frame may be empty."""
    return _tasks_together(run.path, stamp(run.path / "events.jsonl"), since)


def plan(run: Run) -> sparsities.Plan:
    """Return what a run aims at."""
    penalty = run.spec.penalty
    refit = run.spec.epochs * (1 - penalty.refit_share) if penalty.refit_share else None
    return sparsities.Plan(penalty.target, COUNTED[penalty.target_of], refit)


def layers(run: Run, since: float) -> Drawing:
    """Return the median norm of every layer."""
    return _layers(run.path, stamp(run.path / "groups" / "norms.bin"), since)


def channels(run: Run, layer: str, since: float) -> Drawing:
    """Return the norms of all channels of a layer."""
    return _channels(run.path, stamp(run.path / "groups" / "norms.bin"), layer, since)


def layers_now(run: Run) -> tuple[Drawing, Drawing]:
    """Return the counts of every layer, and the spread of its norms, as they stand."""
    return _layers_now(run.path, *_standing(run))


def firm(run: Run) -> Drawing:
    """Return how firmly dead the dead are."""
    return _firm(run.path, current.tables_stamp(run))


def channel(run: Run, chosen: Selection) -> tuple[Drawing, Drawing]:
    """Return the record of one channel, and its kernels."""
    return _channel(run.path, *_standing(run), chosen)


def _standing(run: Run) -> tuple[Stamp, Stamp]:
    return stamp(run.path / "groups" / "norms.bin"), current.tables_stamp(run)


@lru_cache(maxsize=32)
def _training(path: Path, _log: Stamp, since: float) -> tuple[Drawing, Drawing, Drawing]:
    run = Run(path)
    curves, regularity, counts = events.curves(run, since), events.regularity(run, since), events.sparsities(run, since)
    aim = plan(run)
    return (
        Drawing(losses_and_metrics.losses_and_metrics(curves, tasks(run.spec), _looks(run)), curves),
        Drawing(strength_and_alive.strength_and_alive(regularity, events.changes(run), aim.refit), regularity),
        Drawing(sparsities.sparsities(counts, aim, events.removals(run)), counts),
    )


def _looks(run: Run) -> dict[str, Style]:
    return styles(list(run.spec.data.fields))


@lru_cache(maxsize=32)
def _tasks_together(path: Path, _log: Stamp, since: float) -> tuple[Drawing, Drawing]:
    run = Run(path)
    conflict, weights = events.conflict(run, since), events.weights(run, since)
    return (
        Drawing(task_conflict.task_conflict(conflict, _looks(run)), conflict),
        Drawing(task_conflict.task_weights(weights, _looks(run)), weights),
    )


@lru_cache(maxsize=32)
def _layers(path: Path, _rows: Stamp, since: float) -> Drawing:
    frame = groups.layer_norms(Run(path), since)
    return Drawing(layer_norms.median_norms(frame), frame)


@lru_cache(maxsize=64)
def _channels(path: Path, _rows: Stamp, layer: str, since: float) -> Drawing:
    frame = groups.channel_norms(Run(path), layer, since)
    return Drawing(layer_norms.channel_norms(frame, layer), frame)


@lru_cache(maxsize=32)
def _layers_now(path: Path, _rows: Stamp, _tables: Stamp) -> tuple[Drawing, Drawing]:
    run = Run(path)
    frame, every = channel_states.layers(run), channel_states.channels(run)
    near = every[every["state"] == "near"]
    return (
        Drawing(layer_counts.layer_counts(frame), frame),
        Drawing(norm_spread.norm_spread(frame, near), frame),
    )


@lru_cache(maxsize=32)
def _firm(path: Path, _tables: Stamp) -> Drawing:
    known = current.groups(Run(path))
    dead = known.loc[known["state"] == "dead", ["layer", "channel", "size", "firmness"]].reset_index(drop=True)
    return Drawing(firmness.firmness(dead["firmness"].dropna()), dead)


@lru_cache(maxsize=128)
def _channel(path: Path, _rows: Stamp, _tables: Stamp, chosen: Selection) -> tuple[Drawing, Drawing]:
    record = groups.channel_record(Run(path), chosen.layer, chosen.channel)
    positions = current.kernel(Run(path), chosen.layer, chosen.channel)
    return Drawing(one_channel.one_channel(record), record), Drawing(kernel.kernel(positions), positions)
