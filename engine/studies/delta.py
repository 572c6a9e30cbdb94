"""Δ_m: how much better, in per cent, a network is than its baselines, over tasks. Three definitions are in use.

With the sign s = +1 where higher is better and −1 where lower is, and the relative gain g = 100 · s · (M − B) / B of a
metric M over that of the baseline B:

    main     mean over tasks of g of the task's main metric (Vandenhende et al. 2021, eq. 10)
    task     mean over tasks of the mean g over the task's metrics (LibMTL)
    metric   mean g over the metrics of all tasks (Nash-MTL, CAGrad, FAMO): a task with five metrics counts five times

Against `single`, the baselines are the dense networks of each task alone, with the same seed; against `dense`, the
baseline is the dense network of the same tasks. Tables name them by run.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

DEFINITIONS = ("main", "task", "metric")
RUN = ["arm", "subset", "balancing", "level_of", "level", "seed", "run", "split"]
COLUMNS = [*RUN, "against", "definition", "delta", "shown", "baselines"]
CELL = ["split", "seed", "task", "metric"]


def relative_gains(values: pd.DataFrame) -> pd.Series:
    """Return g [%] of each row of a frame (value, baseline, higher_is_better); NaN where the baseline is 0."""
    sign = np.where(values["higher_is_better"].astype(bool), 1.0, -1.0)
    baseline = values["baseline"].where(values["baseline"] != 0)
    return pd.Series(100 * sign * (values["value"] - baseline) / baseline.abs(), index=values.index)


def delta(values: pd.DataFrame, definition: str) -> float:
    """Return Δ_m [%] of one network: a frame with the columns task, main, gain.

    Raises:
        ValueError: an unknown definition.

    """
    if definition == "main":
        return float(values.loc[values["main"].astype(bool), "gain"].mean(skipna=False))
    if definition == "task":
        return float(values.groupby("task")["gain"].apply(lambda own: own.mean(skipna=False)).mean(skipna=False))
    if definition == "metric":
        return float(values["gain"].mean(skipna=False))
    raise ValueError(f"`definition` must be one of {', '.join(DEFINITIONS)}, got {definition!r}.")


def delta_table(results: pd.DataFrame, shown: str) -> pd.DataFrame:
    """Return Δ_m of every run of a study in all definitions, against the single tasks and against the dense network.

    Columns: COLUMNS; `shown` marks the definition that pages show first; `baselines` are runs, with commas. Runs
    whose baselines are not done yet have no rows.
    """
    rows: list[Mapping[str, object]] = []
    for against, baselines in (("single", _single(results)), ("dense", _dense(results))):
        on = CELL if against == "single" else [*CELL, "subset", "balancing"]
        joined = results.merge(baselines, on=on, how="left")
        joined["gain"] = relative_gains(joined)
        for who, own in joined.groupby(RUN, sort=False):
            if own["baseline_run"].notna().all():
                rows += _rows(dict(zip(RUN, who, strict=True)), against, own, shown)
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _rows(who: Mapping[str, object], against: str, own: pd.DataFrame, shown: str) -> Sequence[Mapping[str, object]]:
    baselines = ",".join(dict.fromkeys(own["baseline_run"]))
    return [
        {
            **who,
            "against": against,
            "definition": definition,
            "delta": delta(own, definition),
            "shown": definition == shown,
            "baselines": baselines,
        }
        for definition in DEFINITIONS
    ]


def _single(results: pd.DataFrame) -> pd.DataFrame:
    own = results[(results["arm"] == "dense") & (results["subset"] == results["task"])]
    return _baseline(own, CELL)


def _dense(results: pd.DataFrame) -> pd.DataFrame:
    return _baseline(results[results["arm"] == "dense"], [*CELL, "subset", "balancing"])


def _baseline(own: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    renamed = own[[*keys, "value", "run"]].rename(columns={"value": "baseline", "run": "baseline_run"})
    return renamed.drop_duplicates(list(keys))
