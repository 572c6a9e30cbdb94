"""The maps of an explanation over its images (engine.explain.maps.store), reopened only when the file is replaced."""

from pathlib import Path

import pandas as pd

from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.explanations import explanations
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.data.sample import Field
from winnow.engine.explain.maps.store import NAME, SpatialStore
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.digests import manifests


def store(work: DerivedJob) -> SpatialStore | None:
    """Return the maps of an explanation; None where there are none, or where they can't be read."""
    return _store(work.path, version(work.path / NAME))


def store_for(work: DerivedJob, chosen: Cell | None) -> SpatialStore | None:
    """Return the maps of an explanation; where they lack the channel, those of another of the same checkpoint."""
    own = store(work)
    if chosen is None or (own is not None and own.has(chosen.layer, chosen.channel)):
        return own
    for other in explanations(work.run):
        found = store(other) if _of_the_newest(other) else None
        if found is not None and found.has(chosen.layer, chosen.channel):
            return found
    return own


def field(maps: SpatialStore, task: str) -> Field | None:
    """Return what a task is about, as the maps say; None of a task that nobody described."""
    known = maps.index["tasks"].get(task)
    return Field(kind=known["kind"], classes=tuple(known["classes"]), unit=known["unit"]) if known else None


def cells(maps: SpatialStore) -> list[Cell]:
    """Return the channels that have maps."""
    known = maps.cells()
    return [Cell(str(layer), int(channel)) for layer, channel in zip(known["layer"], known["channel"], strict=True)]


def answers(maps: SpatialStore, chosen: Cell) -> pd.DataFrame:
    """Return a channel's activation in every image that was looked at, the strongest first: image, mean, max."""
    frame = maps.per_image(chosen.layer, chosen.channel)
    return frame.rename_axis("image").reset_index().sort_values("mean", ascending=False, ignore_index=True)


def _of_the_newest(work: DerivedJob) -> bool:
    """Return whether an explanation was begun after the run's newest checkpoint was stored."""
    known, started = manifests(work.run.path / "weights"), work.recorded_status().started
    return bool(known) and started is not None and started > known[-1].stat().st_mtime


@latest(16)
def _store(folder: Path, written: Version) -> SpatialStore | None:
    if not any(written):
        return None
    try:
        return SpatialStore(folder)
    except (ValueError, KeyError, OSError):
        return None
