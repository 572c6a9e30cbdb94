"""Before and after a pruning as one table of words: what, dense, pruned, repaired and refitted where it was, change."""

import pandas as pd

from winnow.dashboard.frames.before_after import AFTER, STAGES, TITLES, Main, costs, stages_of, task_change_frame
from winnow.dashboard.shared.formatting import amount, changed, measured, spread
from winnow.engine.runs.derived import DerivedJob


def before_after(pruning: DerivedJob, main: Main) -> pd.DataFrame:
    """Return one row per cost, then one per task, as text."""
    spent = [_cost(row) for _, row in costs(pruning).iterrows()]
    got = [_metric(row) for _, row in task_change_frame(pruning, main).iterrows()]
    whole = pd.DataFrame([*spent, *got], columns=["what", *AFTER, "change"])
    return whole.drop(columns=[stage for stage in STAGES if stage not in stages_of(pruning)])


def title(row: pd.Series) -> str:
    """Name a row of `costs`: latency, eager, batch 16."""
    parts = [TITLES[row["quantity"]]]
    parts += [row["backend"]] if row["backend"] else []
    parts += [f"batch {row['batch']:.0f}"] if row["batch"] else []
    return ", ".join(parts)


def _cost(row: pd.Series) -> list[str]:
    timed = row["quantity"] == "latency"
    values = [
        spread(row[name], row[f"{name}_low"], row[f"{name}_high"], "s") if timed else amount(row[name], row["unit"])
        for name in ("dense", "pruned")
    ]
    return [title(row), *values, "", "", _smaller(row) if row["steady"] else "machine was busy"]


def _smaller(row: pd.Series) -> str:
    """Say what has gone [%], and how many times smaller the rest is."""
    if pd.isna(row["left"]):
        return "–"
    times = f" ({row['dense'] / row['pruned']:.2g}×)" if row["pruned"] else ""
    return f"{changed(row['left'] - 100, '%')}{times}"


def _metric(row: pd.Series) -> list[str]:
    arrow = "↑" if row["better"] == "higher" else "↓"
    if pd.isna(row["dense"]):  # no image of the split has a label of this task
        return [f"{row['task']}: {row['label']} {arrow}", *["–"] * len(AFTER), "no labels"]
    values = ["" if pd.isna(row[name]) else measured(row[name], row["unit"]) for name in AFTER]
    last = row["final"]
    change = (
        "dropped" if pd.isna(last) else changed(last - row["dense"], "points" if row["unit"] == "%" else row["unit"])
    )
    return [f"{row['task']}: {row['label']} {arrow}", *values, change]
