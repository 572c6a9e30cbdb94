"""The figures of a study, cached until its tables change, as `dashboard.shared.run_figures` keeps a run's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.dashboard.canvas.path_scrubber import Course, path_payload
from winnow.dashboard.figures import death_order, depth_advice, norm_path, paired_differences, path_curve, seed_overlap
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import differences, paths, studies
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.shared.panel import Chart
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import PathSpec


def course(study: Study) -> tuple[Course, Mapping[str, Any]]:
    """Return a path as the scrubber takes it, and what is sent to the browser."""
    return _course(study.path, studies.study_versions(study, "path"))


def curve_chart(study: Study) -> Chart:
    """Return the skill along a path."""
    return _curve(study.path, studies.study_versions(study, "path"))


def norms_chart(study: Study, layer: str) -> Chart:
    """Return the norms of a layer along a path."""
    return _norms(study.path, studies.study_versions(study, "path"), layer)


def deaths_chart(study: Study) -> Chart:
    """Return who is dead at which point."""
    return _deaths(study.path, studies.study_versions(study, "path"))


def paired_chart(study: Study, which: differences.Which) -> Chart:
    """Return the paired differences of the arms."""
    return _paired(study.path, studies.study_versions(study, "summary", "comparisons"), which)


def seeds_chart(study: Study) -> Chart:
    """Return how far the seeds of an arm agree."""
    return _seeds(study.path, studies.study_versions(study, "jaccard"))


def depth_chart(study: Study) -> Chart:
    """Return how deep each task needs the trunk."""
    return _depths(study.path, studies.study_versions(study, "depth"))


@latest(8)
def _course(path: Path, _tables: tuple[Version, ...]) -> tuple[Course, Mapping[str, Any]]:
    study = Study(path)
    spec = study.spec
    if not isinstance(spec, PathSpec):
        raise ValueError(f"`study` must be a path, got a {spec.kind}.")
    looks = styles(list(spec.base.data.fields))
    made = Course(study.id, spec, paths.networks(study), tasks(spec.base), looks)
    return made, path_payload(made)


@latest(16)
def _curve(path: Path, _tables: tuple[Version, ...]) -> Chart:
    frame = paths.points(Study(path))
    return Chart(path_curve.path_curve(frame), frame)


@latest(32)
def _norms(path: Path, _tables: tuple[Version, ...], layer: str) -> Chart:
    frame = paths.path_norms(Study(path), layer)
    return Chart(norm_path.norm_path(frame), frame)


@latest(16)
def _deaths(path: Path, _tables: tuple[Version, ...]) -> Chart:
    study = Study(path)
    shares = paths.deaths(study)
    return Chart(death_order.death_order(shares), studies.study_table(study, "deaths"))


@latest(64)
def _paired(path: Path, _tables: tuple[Version, ...], which: differences.Which) -> Chart:
    frame = differences.paired(Study(path), which)
    return Chart(paired_differences.paired_differences(frame), frame)


@latest(16)
def _seeds(path: Path, _tables: tuple[Version, ...]) -> Chart:
    frame = studies.study_table(Study(path), "jaccard")
    return Chart(seed_overlap.seed_overlap(frame), frame)


@latest(16)
def _depths(path: Path, _tables: tuple[Version, ...]) -> Chart:
    study = Study(path)
    frame = studies.study_table(study, "depth")
    return Chart(depth_advice.depth_advice(frame, study.spec.base.tasks), frame)
