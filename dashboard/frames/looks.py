"""Data sets by name, and the newest look at each (engine.runs.look), its tables read again only when they change.

| table      | rows                    | columns                                                              |
|------------|-------------------------|----------------------------------------------------------------------|
| `coverage` | split × task            | samples, images with a target, known: part of the entries, in [0, 1] |
| `classes`  | split × task × class    | count, share of the known entries                                    |
| `values`   | split × task × part     | low, high, count of a bin of the histogram                           |
"""

import pandas as pd

from winnow.dashboard.frames.stored_tables import stored
from winnow.data.registered import built_in, registered
from winnow.data.sample import Field
from winnow.engine.runs.look import COLUMNS, Look, Pictures


def data_sources() -> dict[str, str]:
    """Return the data sets that can be looked at, by name: where each comes from. Registered ones come first.

    Raises:
        ValueError: the list of registered ones is damaged.

    """
    own = {name: f"{name} · {entry['dataset']} in {entry['root']}" for name, entry in registered().items()}
    return {**own, **{name: f"{name} · built in" for name in built_in()}}


def look_table(look: Look, name: str) -> pd.DataFrame:
    """Return a table of a look, without rows where it is not there yet."""
    return stored(look, name, COLUMNS)


def task_field(known: Pictures, task: str) -> Field:
    """Return what a task is about, as the look says."""
    about = known.tasks[task]
    return Field(kind=about["kind"], classes=tuple(about["classes"]), unit=about["unit"])


def classes_of_splits(look: Look, task: str) -> pd.DataFrame:
    """Return the classes of a task: class, split, count, share [%]."""
    frame = look_table(look, "classes")
    own = frame[frame["task"] == task]
    return own.assign(share=100 * own["share"])[["class", "split", "count", "share"]].reset_index(drop=True)


def values_of_splits(look: Look, task: str) -> pd.DataFrame:
    """Return the histogram of a task: part, split, low, high, count, share [%] of the part's values in the split."""
    frame = look_table(look, "values")
    own = frame[frame["task"] == task]
    totals = own.groupby(["split", "part"])["count"].transform("sum")
    return own.assign(share=100 * own["count"] / totals.clip(lower=1))[
        ["part", "split", "low", "high", "count", "share"]
    ].reset_index(drop=True)
