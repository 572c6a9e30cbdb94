"""Which task uses which channel: task shares, and a label for every cell. Tables in, tables out; no torch.

The relevances of two tasks have different units. So each task's relevance is divided by its sum over all cells of the
frame: r_t is then the part of the task's relevance that is in a cell, and its sum over a layer is the part in that
layer. A cell's shares are s_t = r_t / Σ_s r_s. Their interval takes the worst ends of the tasks' intervals [l, h]: from
l_t / (l_t + Σ_{s≠t} h_s) to h_t / (h_t + Σ_{s≠t} l_s).

A task *uses* a cell unless the upper end of its share is below half of an equal share, 1/(2T): what is uncertain counts
as used. The labels follow:

- `dead`: relevance exactly 0 for every task, as for a zero group.
- `idle`: the upper end of the total is below a twentieth of the layer's mean over cells that are not dead; or, where a
  noise is given, below 95 % of the cells of the same layer in a network with shuffled weights. The noise is not enough
  alone: in a network whose weights differ much in size, some shuffled cells read almost nothing.
- a task's name: only this task uses the cell.
- `shared`: several tasks use it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SHARED, IDLE, DEAD, ALL = "shared", "idle", "dead", "all"
QUIET = 0.05  # part of the layer's mean below which a cell is idle; quantile of the noise
JOIN = "+"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RelevanceArrays:
    """A relevance frame as arrays (cells, tasks); each task's relevance is divided by its sum."""

    tasks: tuple[str, ...]
    cells: pd.DataFrame
    relevance: Array
    low: Array
    high: Array

    @property
    def total(self) -> Array:
        """The mean over tasks, (cells,); its sum is 1 where there is any relevance."""
        found: Array = self.relevance.mean(1)
        return found


def relevance_arrays(relevance: pd.DataFrame) -> RelevanceArrays:
    """Return a relevance frame of one method as arrays.

    Raises:
        ValueError: a column is missing, a task lacks a cell, or a cell is there twice (as with two methods).

    """
    needed = ("task", "layer", "channel", "relevance", "low", "high")
    if missing := [name for name in needed if name not in relevance.columns]:
        raise ValueError(f"`relevance` must have the columns {', '.join(needed)}, got none of {', '.join(missing)}.")
    tasks = tuple(dict.fromkeys(relevance["task"]))
    cells = relevance.loc[relevance["task"] == tasks[0], ["layer", "channel"]].reset_index(drop=True) if tasks else None
    if cells is None or cells.duplicated().any() or len(cells) * len(tasks) != len(relevance):
        raise ValueError(
            "`relevance` must have one row for every task and cell, got others. Take one method at a time."
        )
    parts = {}
    for name in ("relevance", "low", "high"):
        wide = relevance.pivot(index=["layer", "channel"], columns="task", values=name)
        parts[name] = wide.reindex(pd.MultiIndex.from_frame(cells))[list(tasks)].to_numpy(float)
    if np.isnan(parts["relevance"]).any():
        raise ValueError("`relevance` must have a number for every task and cell, got NaN for some.")
    sums = parts["relevance"].sum(0)
    scale = np.where(sums > 0, sums, 1.0)
    return RelevanceArrays(tasks, cells, *(parts[name] / scale for name in ("relevance", "low", "high")))


def usage(relevance: pd.DataFrame, noise: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one row per cell: layer, channel, share_<task>…, entropy, total, label; then used_by and the intervals.

    entropy: of the shares, divided by log T: 0 for one task alone, 1 for equal shares. total: mean over tasks of the
    part of the task's relevance that is in the cell. used_by: the tasks that use it, joined by "+". low_share_<task>,
    high_share_<task>: the interval of the share. Shares and entropy of dead cells are missing.

    Args:
        relevance: as `engine.explain.relevance.relevance` gives it, by one method.
        noise: the same for the network with shuffled weights.

    Examples:
        >>> import pandas as pd
        >>> cells = {"layer": "a", "channel": [0, 0, 1, 1], "task": ["seg", "depth"] * 2}
        >>> found = [1.0, 0.0, 1.0, 1.0]  # of seg and depth, of channel 0 and then of channel 1
        >>> measured = {"method": "taylor", "alive": True, "relevance": found, "low": found, "high": found}
        >>> usage(pd.DataFrame(cells | measured))["label"].tolist()
        ['seg', 'shared']

    """
    given = relevance_arrays(relevance)
    shares, low, high = _shares(given)
    dead = (given.relevance == 0).all(1)
    idle = ~dead & (given.high.mean(1) < _threshold(given, noise))
    uses = (high >= 1 / (2 * len(given.tasks))) & ~(dead | idle)[:, None]
    used_by = [JOIN.join(np.array(given.tasks)[row]) for row in uses]
    label = np.select([dead, idle, uses.sum(1) > 1], [DEAD, IDLE, SHARED], np.array(used_by, object))
    columns = {f"share_{task}": shares[:, i] for i, task in enumerate(given.tasks)}
    ends = {f"low_share_{task}": low[:, i] for i, task in enumerate(given.tasks)}
    ends |= {f"high_share_{task}": high[:, i] for i, task in enumerate(given.tasks)}
    rest: dict[str, Any] = {
        "entropy": _entropy(shares),
        "total": given.total,
        "label": label,
        "used_by": used_by,
        **ends,
    }
    return given.cells.assign(**columns, **rest)


def surely_led(used: pd.DataFrame) -> pd.Series:
    """Return the task that surely leads each cell of a usage frame, "" where none does.

    It has the largest share, and the lower end of that share's interval is above 1/T: at 95 %, it has more than an
    equal share. A task alone leads whatever it uses. Nobody leads a dead or an idle cell.
    """
    tasks = tasks_of(used)
    if used.empty or not tasks:
        return pd.Series("", index=used.index, dtype=object)
    shares, low = (used[[f"{end}share_{task}" for task in tasks]].to_numpy(float) for end in ("", "low_"))
    known = ~np.isnan(shares).any(axis=1)
    first = np.where(known[:, None], shares, 0.0).argmax(axis=1)
    equal = 1 / len(tasks) if len(tasks) > 1 else 0.0
    sure = known & (low[np.arange(len(used)), first] > equal) & ~used["label"].isin([DEAD, IDLE]).to_numpy()
    return pd.Series(np.where(sure, np.array(tasks, object)[first], ""), used.index)


def tasks_of(used: pd.DataFrame) -> tuple[str, ...]:
    """Return the tasks of a usage frame."""
    return tuple(str(name).removeprefix("share_") for name in used.columns if str(name).startswith("share_"))


def all_labels(tasks: Sequence[str]) -> tuple[str, ...]:
    """Return all labels in the order in which they are shown."""
    return (SHARED, *tasks, IDLE, DEAD)


def layer_usage(used: pd.DataFrame) -> pd.DataFrame:
    """Return one row per layer and label, and one of label `all`: number of channels, their relevance, its shares.

    Columns: layer, depth (0 at the input), label, channels, part (of the layer's channels), total (Σ of `total`),
    share_<task>… (of the relevance of these channels; missing where it is 0).
    """
    tasks, rows = tasks_of(used), []
    for depth, (layer, own) in enumerate(used.groupby("layer", sort=False)):
        for label in (ALL, *all_labels(tasks)):
            chosen = own if label == ALL else own[own["label"] == label]
            weights = chosen["total"].to_numpy()
            whole = weights.sum()
            shares = [float(weights @ chosen[f"share_{t}"].fillna(0)) / whole if whole > 0 else np.nan for t in tasks]
            rows.append([layer, depth, label, len(chosen), len(chosen) / len(own), whole, *shares])
    names = ["layer", "depth", "label", "channels", "part", "total", *(f"share_{task}" for task in tasks)]
    return pd.DataFrame(rows, columns=names)


def task_overlaps(used: pd.DataFrame) -> pd.DataFrame:
    """Return, for each set of tasks, the number of channels that exactly these tasks use.

    Columns: layer ("" for all layers together), tasks (joined by "+"), size (of the set), channels. Every non-empty set
    has a row, also with 0 channels.
    """
    tasks = tasks_of(used)
    sets = [JOIN.join(chosen) for size in range(1, len(tasks) + 1) for chosen in combinations(tasks, size)]
    rows = []
    for layer, own in [("", used), *used.groupby("layer", sort=False)]:
        counts = own["used_by"].value_counts()
        rows += [(layer, chosen, chosen.count(JOIN) + 1, int(counts.get(chosen, 0))) for chosen in sets]
    return pd.DataFrame(rows, columns=["layer", "tasks", "size", "channels"])


def _shares(given: RelevanceArrays) -> tuple[Array, Array, Array]:
    """Return the shares and the ends of their intervals, (cells, tasks); missing for dead cells."""
    r, low, high = given.relevance, given.low, given.high
    others_high, others_low = high.sum(1, keepdims=True) - high, low.sum(1, keepdims=True) - low
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = r / r.sum(1, keepdims=True)
        ends = low / (low + others_high), high / (high + others_low)
    return shares, *(np.where(np.isnan(end), shares, end) for end in ends)  # 0/0: no relevance, or of one task alone


def _entropy(shares: Array) -> Array:
    count = shares.shape[1]
    terms = np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0)
    found: Array = np.where(np.isnan(shares).any(1), np.nan, -terms.sum(1) / np.log(max(count, 2)))
    return np.abs(found)


def _threshold(given: RelevanceArrays, noise: pd.DataFrame | None) -> Array:
    """Return, per cell, the total below which a cell is idle."""
    limits = QUIET * _living(given).mean()
    if noise is not None:
        limits = np.maximum(
            limits, _living(relevance_arrays(noise)).quantile(QUIET).reindex(limits.index, fill_value=0.0)
        )
    return given.cells["layer"].map(limits).fillna(0.0).to_numpy(float)


def _living(given: RelevanceArrays) -> Any:
    """Return the totals of the cells that are not dead, grouped by layer."""
    found = given.cells.assign(total=given.total)
    return found[found["total"] > 0].groupby("layer", sort=False)["total"]
