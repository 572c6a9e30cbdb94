"""The maps of an explanation over its images (engine.explain.maps.store), reopened only when the file is replaced."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.explanations import explanation_table, explanations
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


def mapped_cells(maps: SpatialStore) -> list[Cell]:
    """Return the channels that have maps."""
    known = maps.cells()
    return [Cell(str(layer), int(channel)) for layer, channel in zip(known["layer"], known["channel"], strict=True)]


def answers(maps: SpatialStore, chosen: Cell) -> pd.DataFrame:
    """Return a channel's activation in every image that was looked at, the strongest first: image, mean, max."""
    frame = maps.per_image(chosen.layer, chosen.channel)
    return frame.rename_axis("image").reset_index().sort_values("mean", ascending=False, ignore_index=True)


def layer_silences(maps: SpatialStore, place: int | None) -> list[tuple[str, NDArray[np.float32]]]:
    """Return (layer, share of its living channels that are exactly 0 at each position), of all images or of one."""
    return [(layer, maps.silence(layer, place)) for layer in maps.silent_layers()]


def silence_frame(maps: SpatialStore) -> pd.DataFrame:
    """Return one row per layer and position: layer, row, column, silent [%], averaged over all images."""
    parts = []
    for layer, shares in layer_silences(maps, None):
        row, column = np.indices(shares.shape).reshape(2, -1)
        parts.append(pd.DataFrame({"layer": layer, "row": row, "column": column, "silent": 100 * shares.ravel()}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["layer", "row", "column", "silent"])


def silence_of(work: DerivedJob, maps: SpatialStore, layer: str) -> pd.DataFrame:
    """Return the living channels of a layer, the most silent first: channel, silent [%], used by, maps."""
    found = maps.silence_of(layer)
    living = np.flatnonzero(~np.isnan(found))
    used = explanation_table(work, "usage")
    own = used[used["layer"] == layer].set_index("channel") if len(used) else used.assign(label="", used_by="")
    labels = own["label"].reindex(living).fillna("").astype(str) if len(own) else pd.Series("", index=living)
    frame = pd.DataFrame(
        {
            "channel": living,
            "silent": 100 * found[living],
            "label": labels.to_numpy(),
            "maps": [maps.has(layer, int(channel)) for channel in living],
        }
    )
    return frame.sort_values("silent", ascending=False, kind="stable", ignore_index=True)


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
