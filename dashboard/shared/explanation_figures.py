"""The figures of an explanation, cached until its tables change; as dashboard.shared.run_figures for a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from winnow.dashboard.figures import (
    channel_use,
    circuit_lanes,
    deletion_curves,
    head_use,
    label_bars,
    layer_heatmaps,
    layer_shares,
    lead_bars,
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
from winnow.dashboard.frames import circuits, current, explanations, leads, masks, reliance, shares, trust
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.concepts import concepts_version, names_of_channels
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.shared.panel import Chart
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

MOST_CHANNELS = 20
Versions = tuple[Version, ...]


@dataclass(frozen=True)
class MethodView:
    """What is looked at: relevance by a method, for a task, in a layer ("" for all), with a channel selected."""

    method: str
    task: str
    layer: str = ""
    chosen: Cell | None = None


def task_looks(work: DerivedJob) -> dict[str, Style]:
    """Return how each task of the run's data set is drawn."""
    return styles(list(work.run.spec.data.fields))


def triangle_chart(work: DerivedJob, layer: str, chosen: Cell | None) -> Chart:
    """Return the channels between three tasks."""
    return _triangle(work.path, explanations.explanation_versions(work), layer, chosen)


def mapped_chart(work: DerivedJob, chosen: Cell | None) -> Chart:
    """Return the channels of all layers by their dominant task."""
    return _mapped(work.path, explanations.explanation_versions(work), chosen)


def led_chart(work: DerivedJob) -> Chart:
    """Return who leads the channels of every layer."""
    return _led(work.path, explanations.explanation_versions(work))


def layered_chart(work: DerivedJob) -> Chart:
    """Return the labels of the channels of every layer."""
    return _layered(work.path, explanations.explanation_versions(work))


def leaning_chart(work: DerivedJob) -> Chart:
    """Return whose the relevance of every layer is."""
    return _leaning(work.path, explanations.explanation_versions(work))


def sets_chart(work: DerivedJob, layer: str) -> Chart:
    """Return how many channels each set of tasks uses."""
    return _sets(work.path, explanations.explanation_versions(work), layer)


def affinity_chart(work: DerivedJob) -> Chart:
    """Return how the tasks pull each layer."""
    return _affinity(work.path, explanations.explanation_versions(work))


def heads_chart(work: DerivedJob) -> Chart:
    """Return what each head reads."""
    return _heads(work.path, explanations.explanation_versions(work))


def circuits_chart(work: DerivedJob, chosen: Cell | None) -> Chart:
    """Return the circuits of the tasks as a trunk that splits."""
    return _circuits(work.path, explanations.explanation_versions(work), chosen)


def overlap_chart(runs: Sequence[Run]) -> Chart:
    """Return how far the survivors of some runs agree."""
    paths = tuple(run.path for run in runs)
    return _overlap(paths, tuple(version(path / "groups" / "norms.bin") for path in paths))


def top_chart(work: DerivedJob, view: MethodView) -> Chart:
    """Return the channels that a task relies on most."""
    versions = (*explanations.explanation_versions(work), current.tables_version(work.run), concepts_version(work.run))
    return _top(work.path, versions, view)


def against_chart(work: DerivedJob, view: MethodView) -> Chart:
    """Return relevance against ablation."""
    return _against(work.path, explanations.explanation_versions(work), view)


def deletion_chart(work: DerivedJob, task: str) -> Chart:
    """Return the deletion curves of a task."""
    return _deletion(work.path, explanations.explanation_versions(work), task)


def randomised_chart(work: DerivedJob, method: str) -> Chart:
    """Return what is left of the shares under shuffled weights."""
    return _randomised(work.path, explanations.explanation_versions(work), method)


def used_chart(work: DerivedJob, method: str, chosen: Cell) -> Chart:
    """Return how much each task relies on one channel."""
    return _used(work.path, explanations.explanation_versions(work), method, chosen)


def off_chart(work: DerivedJob, chosen: Cell) -> Chart:
    """Return what switching one channel off does to every task."""
    every = tuple(explanations.table_version(other, "ablation") for other in explanations.explanations(work.run))
    return _off(work.path, (*explanations.explanation_versions(work), *every), chosen)


@latest(32)
def _triangle(path: Path, _versions: Versions, layer: str, chosen: Cell | None) -> Chart:
    work = DerivedJob(path)
    frame, names = shares.cells(work, layer), _names(work)
    return Chart(ternary.ternary(frame, explanations.explained_tasks(work), task_looks(work), names, chosen), frame)


@latest(32)
def _mapped(path: Path, _versions: Versions, chosen: Cell | None) -> Chart:
    work = DerivedJob(path)
    frame, names = leads.leads(work), _names(work)
    return Chart(share_map.share_map(frame, explanations.explained_tasks(work), task_looks(work), names, chosen), frame)


@latest(32)
def _led(path: Path, _versions: Versions) -> Chart:
    work = DerivedJob(path)
    frame = leads.lead_counts(work)
    return Chart(lead_bars.lead_bars(frame, explanations.explained_tasks(work), task_looks(work)), frame)


@latest(32)
def _layered(path: Path, _versions: Versions) -> Chart:
    work = DerivedJob(path)
    frame = shares.counts(work)
    return Chart(label_bars.label_bars(frame, explanations.explained_tasks(work), task_looks(work)), frame)


@latest(32)
def _leaning(path: Path, _versions: Versions) -> Chart:
    work = DerivedJob(path)
    frame = shares.layer_shares(work)
    return Chart(layer_shares.layer_shares_figure(frame, explanations.explained_tasks(work), task_looks(work)), frame)


@latest(64)
def _sets(path: Path, _versions: Versions, layer: str) -> Chart:
    work = DerivedJob(path)
    frame = shares.overlaps(work, layer)
    return Chart(task_sets.task_sets(frame, explanations.explained_tasks(work), task_looks(work)), frame)


@latest(32)
def _affinity(path: Path, _versions: Versions) -> Chart:
    frame = shares.affinity(DerivedJob(path))
    return Chart(layer_heatmaps.layer_affinity(frame), frame)


@latest(32)
def _heads(path: Path, _versions: Versions) -> Chart:
    work = DerivedJob(path)
    frame = shares.heads(work)
    return Chart(head_use.head_use(frame, task_looks(work)), frame)


@latest(16)
def _circuits(path: Path, _versions: Versions, chosen: Cell | None) -> Chart:
    work = DerivedJob(path)
    lanes, tasks = circuits.circuit_lanes(work), explanations.explained_tasks(work)
    nodes = circuits.circuit_nodes(work)
    figure = circuit_lanes.circuit_lanes_figure(lanes, nodes, tasks, task_looks(work), _names(work), chosen)
    return Chart(figure, lanes)


@latest(16)
def _overlap(paths: tuple[Path, ...], _versions: Versions) -> Chart:
    frame = masks.overlap([Run(path) for path in paths])
    return Chart(mask_overlap.mask_overlap(frame), frame)


@latest(64)
def _top(path: Path, _versions: Versions, view: MethodView) -> Chart:
    work = DerivedJob(path)
    frame = reliance.ranked(work, view.method, view.task, view.layer)
    if any(names := names_of_channels(work.run, frame["layer"], frame["channel"])):
        frame = frame.assign(name=names)
    unit = explanations.asked_of_explanation(work).of
    shown = frame.head(MOST_CHANNELS)
    return Chart(top_channels.top_channels(shown, task_looks(work)[view.task], _names(work), unit, view.chosen), frame)


@latest(64)
def _against(path: Path, _versions: Versions, view: MethodView) -> Chart:
    work = DerivedJob(path)
    frame = trust.against(work, view.method, view.task)
    draw = relevance_against_ablation.relevance_against_ablation
    return Chart(draw(frame, _names(work), view.task, view.chosen), frame)


@latest(32)
def _deletion(path: Path, _versions: Versions, task: str) -> Chart:
    work = DerivedJob(path)
    frame = trust.deletion(work, task)
    return Chart(deletion_curves.deletion_curves(frame, _names(work), task_looks(work)[task]), frame)


@latest(32)
def _randomised(path: Path, _versions: Versions, method: str) -> Chart:
    work = DerivedJob(path)
    frame = trust.randomised(work, method)
    return Chart(shuffled_weights.shuffled_weights(frame, task_looks(work)), frame)


@latest(128)
def _used(path: Path, _versions: Versions, method: str, chosen: Cell) -> Chart:
    work = DerivedJob(path)
    frame = reliance.channel_reliance(work, method, chosen)
    return Chart(channel_use.channel_use(frame, task_looks(work)), frame)


@latest(128)
def _off(path: Path, _versions: Versions, chosen: Cell) -> Chart:
    work = DerivedJob(path)
    frame = reliance.moves(work.run, work, chosen)
    return Chart(switched_off.switched_off(frame, task_looks(work)), frame)


def _names(work: DerivedJob) -> tuple[str, ...]:
    return tuple(layer.name for layer in explanations.explained_layers(work))
