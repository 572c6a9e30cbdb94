"""The norms of the groups as tidy frames and one compact array.

| function         | columns                                                                                     |
|------------------|---------------------------------------------------------------------------------------------|
| `layer_norms`    | at, layer, depth (0 at the input), alive, total, minimum, median, maximum of the living     |
| `channel_norms`  | at, channel, norm: every channel of one layer; dead ones carry no norm from their death on  |
| `channel_record` | at, norm: one channel                                                                       |
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.engine.runs.norm_log import Layer, NormLog
from winnow.engine.runs.run import Run


@dataclass(frozen=True)
class Norms:
    """All rows of a norm log: `at` (rows,) in epochs, `values` (rows, groups) float32, group after group by layer."""

    layers: tuple[Layer, ...]
    at: NDArray[np.int32]
    strengths: NDArray[np.float32]
    values: NDArray[np.float32]

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first column of each layer, and the number of columns at the end."""
        return np.cumsum([0, *(layer.groups for layer in self.layers)])

    def of(self, layer: str) -> NDArray[np.float32]:
        """Return the norms (rows, channels) of one layer, no columns for an unknown name."""
        names = [known.name for known in self.layers]
        if layer not in names:
            return self.values[:, :0]
        first, last = self.starts[names.index(layer) :][:2]
        return self.values[:, first:last]

    @property
    def extent(self) -> tuple[float, float]:
        """One scale for all epochs: from the norm that 2 % of the living stay below up to the largest one.

        A dying group passes through every small norm, so the least one would leave no colours for the others.
        """
        living = self.values[self.values > 0]
        return (float(np.quantile(living, 0.02)), float(living.max())) if living.size else (1.0, 1.0)


def norms(run: Run) -> Norms:
    """Return the whole norm log, read again only when the file has grown."""
    folder = run.path / "groups"
    return _norms(folder, version(folder / "layers.json"), version(folder / "norms.bin"))


@latest(16)
def _norms(folder: Path, _layers: Version, _rows: Version) -> Norms:
    log = NormLog(folder)
    rows: NDArray[Any] = log.rows()
    least = np.minimum.accumulate(rows["epoch"][::-1])[::-1]  # a resumed run may record epochs twice: the newest hold
    kept = np.flatnonzero(rows["epoch"] < np.append(least[1:], np.iinfo(np.int32).max))
    return Norms(tuple(log.layers()), rows["epoch"][kept], rows["strength"][kept], rows["norm"][kept])


def layer_norms(run: Run, since: float = 0.0) -> pd.DataFrame:
    """Return one row per epoch and layer: how many groups live, and how large they are."""
    known = norms(run)
    frames = [_one_layer(known, depth, layer.name) for depth, layer in enumerate(known.layers)]
    whole = pd.concat(frames, ignore_index=True) if frames else _one_layer(known, 0, "").iloc[:0]
    return whole[whole["at"] >= since].reset_index(drop=True)


def channel_norms(run: Run, layer: str, since: float = 0.0) -> pd.DataFrame:
    """Return one row per epoch and channel of a layer; the norm of a dead channel is missing."""
    known = norms(run)
    values = known.of(layer)
    channels = values.shape[1]
    frame = pd.DataFrame(
        {
            "at": np.repeat(known.at, channels),
            "channel": np.tile(np.arange(channels), len(known.at)),
            "norm": np.where(values > 0, values, np.nan).ravel(),
        }
    )
    return frame[frame["at"] >= since].reset_index(drop=True)


def most_dead(run: Run) -> str:
    """Return the name of the layer that has lost the most groups, where there is most to see; the first of equals."""
    known = norms(run)
    return max(known.layers, key=lambda layer: int((known.of(layer.name)[-1:] <= 0).sum())).name


def channel_record(run: Run, layer: str, channel: int) -> pd.DataFrame:
    """Return the norm of one channel over the epochs, 0 where it is dead; no rows for an unknown one."""
    known = norms(run)
    values = known.of(layer)
    if not 0 <= channel < values.shape[1]:
        return pd.DataFrame({"at": known.at[:0], "norm": values[:0].ravel()})
    return pd.DataFrame({"at": known.at, "norm": values[:, channel]})


def _one_layer(known: Norms, depth: int, layer: str) -> pd.DataFrame:
    values = known.of(layer)
    living = np.ma.masked_less_equal(values, 0)
    return pd.DataFrame(
        {
            "at": known.at,
            "layer": layer,
            "depth": depth,
            "alive": living.count(axis=1) if values.size else 0,
            "total": values.shape[1],
            "minimum": _filled(living.min(axis=1)) if values.size else np.nan,
            "median": _medians(values) if values.size else np.nan,
            "maximum": _filled(living.max(axis=1)) if values.size else np.nan,
        }
    )


def _medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of the positive entries of each row, the lower of the middle two where they are even."""
    ordered = np.sort(np.where(values > 0, values, np.inf), axis=1)
    middle = np.maximum((values > 0).sum(axis=1) - 1, 0) // 2
    found = np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(found), found, np.float32(np.nan))


def _filled(values: Any) -> NDArray[np.float32]:
    """Return a masked vector with NaN where nothing lives."""
    return np.ma.filled(np.ma.asarray(values, np.float32), np.float32(np.nan))
