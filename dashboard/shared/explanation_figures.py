"""The figures of an explanation, cached until its tables change; as dashboard.shared.run_figures for a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from winnow.dashboard.figures import (
    channel_use,
    deletion_curves,
    head_use,
    label_bars,
    layer_affinity,
    layer_shares,
    mask_overlap,
    relevance_against_ablation,
    share_map,
    shuffled_weights,
    switched_off,
    task_sets,
    ternary,
    top_channels,
)
from winnow.dashboard.figures.style import Style, styles
from winnow.dashboard.frames import explanations, masks, reliance, shares, trust
from winnow.dashboard.frames.file_versions import Stamp, stamp
from winnow.dashboard.shared.run_figures import Drawing
from winnow.dashboard.shared.selection import Selection
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

MOST_CHANNELS = 20
Stamps = tuple[Stamp, ...]


@dataclass(frozen=True)
class View:
    """What is looked at: relevance by a method, for a task, in a layer ("" for all), with a channel selected."""

    method: str
    task: str
    layer: str = ""
    chosen: Selection | None = None


def looks(work: DerivedJob) -> dict[str, Style]:
    """Return how each task of the run's data set is drawn."""
    return styles(list(work.run.spec.data.fields))


def triangle(work: DerivedJob, layer: str, chosen: Selection | None) -> Drawing:
    """Return the channels between three tasks."""
    return _triangle(work.path, explanations.stamps(work), layer, chosen)


def mapped(work: DerivedJob, chosen: Selection | None) -> Drawing:
    """Return the channels of all layers by their dominant task."""
    return _mapped(work.path, explanations.stamps(work), chosen)


def layered(work: DerivedJob) -> Drawing:
    """Return the labels of the channels of every layer."""
    return _layered(work.path, explanations.stamps(work))


def leaning(work: DerivedJob) -> Drawing:
    """Return whose the relevance of every layer is."""
    return _leaning(work.path, explanations.stamps(work))


def sets(work: DerivedJob, layer: str) -> Drawing:
    """Return how many channels each set of tasks uses."""
    return _sets(work.path, explanations.stamps(work), layer)


def affinity(work: DerivedJob) -> Drawing:
    """Return how the tasks pull each layer."""
    return _affinity(work.path, explanations.stamps(work))


def heads(work: DerivedJob) -> Drawing:
    """Return what each head reads."""
    return _heads(work.path, explanations.stamps(work))


def overlap(runs: Sequence[Run]) -> Drawing:
    """Return how far the survivors of some runs agree."""
    paths = tuple(run.path for run in runs)
    return _overlap(paths, tuple(stamp(path / "groups" / "norms.bin") for path in paths))


def top(work: DerivedJob, view: View) -> Drawing:
    """Return the channels that a task relies on most."""
    return _top(work.path, explanations.stamps(work), view)


def against(work: DerivedJob, view: View) -> Drawing:
    """Return relevance against ablation."""
    return _against(work.path, explanations.stamps(work), view)


def deletion(work: DerivedJob, task: str) -> Drawing:
    """Return the deletion curves of a task."""
    return _deletion(work.path, explanations.stamps(work), task)


def randomised(work: DerivedJob, method: str) -> Drawing:
    """Return what is left of the shares under shuffled weights."""
    return _randomised(work.path, explanations.stamps(work), method)


def used(work: DerivedJob, method: str, chosen: Selection) -> Drawing:
    """Return how much each task relies on one channel."""
    return _used(work.path, explanations.stamps(work), method, chosen)


def off(work: DerivedJob, chosen: Selection) -> Drawing:
    """Return what switching one channel off does to every task."""
    every = tuple(explanations.table_stamp(other, "ablation") for other in explanations.explanations(work.run))
    return _off(work.path, (*explanations.stamps(work), *every), chosen)


@lru_cache(maxsize=32)
def _triangle(path: Path, _stamps: Stamps, layer: str, chosen: Selection | None) -> Drawing:
    work = DerivedJob(path)
    frame, names = shares.cells(work, layer), _names(work)
    return Drawing(ternary.ternary(frame, explanations.tasks(work), looks(work), names, chosen), frame)


@lru_cache(maxsize=32)
def _mapped(path: Path, _stamps: Stamps, chosen: Selection | None) -> Drawing:
    work = DerivedJob(path)
    frame, names = shares.map_cells(work), _names(work)
    return Drawing(share_map.share_map(frame, explanations.tasks(work), looks(work), names, chosen), frame)


@lru_cache(maxsize=32)
def _layered(path: Path, _stamps: Stamps) -> Drawing:
    work = DerivedJob(path)
    frame = shares.counts(work)
    return Drawing(label_bars.label_bars(frame, explanations.tasks(work), looks(work)), frame)


@lru_cache(maxsize=32)
def _leaning(path: Path, _stamps: Stamps) -> Drawing:
    work = DerivedJob(path)
    frame = shares.layer_shares(work)
    return Drawing(layer_shares.layer_shares(frame, explanations.tasks(work), looks(work)), frame)


@lru_cache(maxsize=64)
def _sets(path: Path, _stamps: Stamps, layer: str) -> Drawing:
    work = DerivedJob(path)
    frame = shares.overlaps(work, layer)
    return Drawing(task_sets.task_sets(frame, explanations.tasks(work), looks(work)), frame)


@lru_cache(maxsize=32)
def _affinity(path: Path, _stamps: Stamps) -> Drawing:
    frame = shares.affinity(DerivedJob(path))
    return Drawing(layer_affinity.layer_affinity(frame), frame)


@lru_cache(maxsize=32)
def _heads(path: Path, _stamps: Stamps) -> Drawing:
    work = DerivedJob(path)
    frame = shares.heads(work)
    return Drawing(head_use.head_use(frame, looks(work)), frame)


@lru_cache(maxsize=16)
def _overlap(paths: tuple[Path, ...], _stamps: Stamps) -> Drawing:
    frame = masks.overlap([Run(path) for path in paths])
    return Drawing(mask_overlap.mask_overlap(frame), frame)


@lru_cache(maxsize=64)
def _top(path: Path, _stamps: Stamps, view: View) -> Drawing:
    work = DerivedJob(path)
    frame = reliance.ranked(work, view.method, view.task, view.layer)
    unit = explanations.asked(work).of
    shown = frame.head(MOST_CHANNELS)
    return Drawing(top_channels.top_channels(shown, looks(work)[view.task], _names(work), unit, view.chosen), frame)


@lru_cache(maxsize=64)
def _against(path: Path, _stamps: Stamps, view: View) -> Drawing:
    work = DerivedJob(path)
    frame = trust.against(work, view.method, view.task)
    draw = relevance_against_ablation.relevance_against_ablation
    return Drawing(draw(frame, _names(work), view.task, view.chosen), frame)


@lru_cache(maxsize=32)
def _deletion(path: Path, _stamps: Stamps, task: str) -> Drawing:
    work = DerivedJob(path)
    frame = trust.deletion(work, task)
    return Drawing(deletion_curves.deletion_curves(frame, _names(work), looks(work)[task]), frame)


@lru_cache(maxsize=32)
def _randomised(path: Path, _stamps: Stamps, method: str) -> Drawing:
    work = DerivedJob(path)
    frame = trust.randomised(work, method)
    return Drawing(shuffled_weights.shuffled_weights(frame, looks(work)), frame)


@lru_cache(maxsize=128)
def _used(path: Path, _stamps: Stamps, method: str, chosen: Selection) -> Drawing:
    work = DerivedJob(path)
    frame = reliance.channel(work, method, chosen)
    return Drawing(channel_use.channel_use(frame, looks(work)), frame)


@lru_cache(maxsize=128)
def _off(path: Path, _stamps: Stamps, chosen: Selection) -> Drawing:
    work = DerivedJob(path)
    frame = reliance.moves(work.run, work, chosen)
    return Drawing(switched_off.switched_off(frame, looks(work)), frame)


def _names(work: DerivedJob) -> tuple[str, ...]:
    return tuple(layer.name for layer in explanations.layers(work))
