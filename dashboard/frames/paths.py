"""A path as the scrubber shows it: its points in the order of what was asked for, each with the network of one run.

| function     | rows               | columns                                                                       |
|--------------|--------------------|-------------------------------------------------------------------------------|
| `points`     | points of the path | those of the engine's table `path`, with `place` in [0, 1], `run` and `label` |
| `path_norms` | channel × point    | layer, channel, level, label, group_sparsity [%], norm: of one layer          |
| `deaths`     | layer × point      | layer, depth, level, label, dead [% of the layer's groups]                    |

The place is that of the target on a linear axis, or of the strength on a log axis, the dense network apart at 0. The
network of a point is that of the first seed: a mean of networks is none. Metrics are means over seeds, on validation,
as the split that chooses.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames import studies
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study

FIRST = 0.12  # place of the least strength; the dense one has none on a log axis


@dataclass(frozen=True)
class Networks:
    """The groups of all points: `norms` and `near` are (points, groups), layer after layer; `points` as `points`."""

    points: pd.DataFrame
    layers: tuple[Layer, ...]
    norms: NDArray[np.float32]
    near: NDArray[np.bool_]

    @property
    def starts(self) -> list[int]:
        """The first group of each layer, and the number of groups at the end."""
        return [0, *np.cumsum([layer.groups for layer in self.layers]).tolist()]


def networks(study: Study) -> Networks:
    """Return the points of a path whose run is still there, and their networks."""
    return _networks(study.path, studies.study_versions(study, "path"))


def points(study: Study) -> pd.DataFrame:
    """Return all points of a path, the densest first."""
    known = studies.study_table(study, "path")
    if known.empty:
        return known.assign(place=[], run=[], label=[])
    ordered = known.sort_values("level", kind="stable").reset_index(drop=True)
    return ordered.assign(
        place=_places(ordered),
        run=ordered["runs"].str.split(",").str[0],
        label=studies.study_levels(ordered),
    )


def path_norms(study: Study, layer: str) -> pd.DataFrame:
    """Return the norms of a layer's channels along a path; a dead one has none."""
    known = networks(study)
    names = [own.name for own in known.layers]
    if layer not in names:
        return pd.DataFrame(columns=["layer", "channel", "level", "label", "group_sparsity", "norm"])
    first, last = known.starts[names.index(layer) :][:2]
    values = known.norms[:, first:last]
    channels, count = last - first, len(values)
    along = known.points.loc[:, ["level", "label", "group_sparsity"]]
    frame = along.loc[along.index.repeat(channels)].reset_index(drop=True)
    frame.insert(0, "channel", np.tile(np.arange(channels), count))
    frame.insert(0, "layer", layer)
    return frame.assign(norm=np.where(values > 0, values, np.nan).ravel())


def deaths(study: Study) -> pd.DataFrame:
    """Return how much of each layer is dead at each point."""
    known = networks(study)
    starts = known.starts
    parts = []
    for depth, (layer, first, last) in enumerate(zip(known.layers, starts, starts[1:], strict=False)):
        dead = 100 * (known.norms[:, first:last] <= 0).mean(axis=1)
        along = known.points[["level", "label"]]
        parts.append(along.assign(layer=layer.name, depth=depth, dead=dead.astype(float)))
    columns = ["layer", "depth", "level", "label", "dead"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _places(ordered: pd.DataFrame) -> NDArray[np.float64]:
    """Return where each level stands on the axis."""
    level = ordered["level"].to_numpy(float)
    sparse = (ordered["level_of"] != "").to_numpy()
    if not sparse.any():
        return np.zeros(len(level))
    if "strength" not in ordered["level_of"].tolist():
        return np.asarray(level / level.max())
    low, high = level[sparse].min(), level[sparse].max()
    span = np.log(high / low) or 1.0
    with np.errstate(divide="ignore"):
        place = FIRST + (1 - FIRST) * np.log(level / low) / span
    return np.where(sparse, place if high > low else 1.0, 0.0)


@latest(8)
def _networks(path: Path, _table: tuple[Version, ...]) -> Networks:
    study = Study(path)
    ordered = points(study)
    tables = [_groups(study.root / Path(str(run)).name) for run in ordered["run"]]
    shape = next((_shape(table) for table in tables if table is not None), ())
    same = [place for place, table in enumerate(tables) if table is not None and _shape(table) == shape]
    kept = [table for place in same if (table := tables[place]) is not None]
    groups = sum(layer.groups for layer in shape)
    norms = np.array([table["norm"] for table in kept], np.float32).reshape(len(kept), groups)
    near = np.array([table["state"] == "near" for table in kept], np.bool_).reshape(len(kept), groups)
    return Networks(ordered.iloc[same].reset_index(drop=True), shape, norms, near)


def _groups(run: Path) -> pd.DataFrame | None:
    """Return the groups of the network that a run stands for, None where it is gone."""
    try:
        return Run(run).table("groups")
    except (OSError, ValueError):
        return None


def _shape(table: pd.DataFrame) -> tuple[Layer, ...]:
    sizes = table.groupby(table["layer"].astype(str), sort=False)["size"]
    return tuple(Layer(str(name), len(own), int(own.iloc[0])) for name, own in sizes)
