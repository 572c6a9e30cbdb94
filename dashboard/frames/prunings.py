"""What a pruning found (engine.work.prune_report), each table read again only when it is replaced.

| function  | columns                                                                                               |
|-----------|-------------------------------------------------------------------------------------------------------|
| `metrics` | model, task, metric, value, unit, higher_is_better                                                    |
| `measures`| model, quantity, batch, backend, value, low, high, unit, threads, steady                              |
| `removed` | layer, shape_before, shape_after, parameters_before, parameters_after                                 |
| `reasons` | kind, layer, reason                                                                                   |
| `sweep`   | share, threshold, groups, parameters, macs, task, metric, value                                       |
| `saved`   | of, value [%]                                                                                         |

A pruning that has not come so far has no such table: the frame is empty then, with its columns.
"""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from dashboard.frames.stamps import Stamp, stamp
from engine.followups import FollowUp

COLUMNS = {
    "metrics": ("model", "task", "metric", "value", "unit", "higher_is_better"),
    "measures": (
        "model",
        "quantity",
        "batch",
        "backend",
        "value",
        "low",
        "high",
        "unit",
        "threads",
        "steady",
    ),
    "removed": ("layer", "shape_before", "shape_after", "parameters_before", "parameters_after"),
    "reasons": ("kind", "layer", "reason"),
    "sweep": ("share", "threshold", "groups", "parameters", "macs", "task", "metric", "value"),
    "saved": ("of", "value"),
}


def metrics(pruning: FollowUp) -> pd.DataFrame:
    """Return the metrics of every task on the validation images, before and after."""
    return _table(pruning, "metrics")


def measures(pruning: FollowUp) -> pd.DataFrame:
    """Return what each model costs: counted, and timed."""
    return _table(pruning, "measures")


def removed(pruning: FollowUp) -> pd.DataFrame:
    """Return one row per layer that lost something."""
    return _table(pruning, "removed")


def reasons(pruning: FollowUp) -> pd.DataFrame:
    """Return why channels stayed, and what layers do to have the rest gone."""
    return _table(pruning, "reasons")


def sweep(pruning: FollowUp) -> pd.DataFrame:
    """Return the metrics as more and more goes; nothing where only zeros went."""
    return _table(pruning, "sweep")


def saved(pruning: FollowUp) -> dict[str, float]:
    """Return what the choice saves of the network [%], by what is counted."""
    frame = _table(pruning, "saved")
    return dict(zip(frame["of"].astype(str), frame["value"].astype(float), strict=True))


def stamps(pruning: FollowUp) -> tuple[Stamp, ...]:
    """Return when each table, and the certificate, was last replaced."""
    return (*(stamp(_path(pruning, name)) for name in COLUMNS), stamp(pruning.path / "certificate.json"))


def _table(pruning: FollowUp, name: str) -> pd.DataFrame:
    path = _path(pruning, name)
    return _read(path, stamp(path))


def _path(pruning: FollowUp, name: str) -> Path:
    return pruning.path / "tables" / f"{name}.parquet"


@lru_cache(maxsize=64)
def _read(path: Path, written: Stamp) -> pd.DataFrame:
    if not any(written):
        return pd.DataFrame(columns=list(COLUMNS[path.stem]))
    return pd.read_parquet(path)
