"""Who leads a channel? The task with the largest share in it, and how sure that is.

T tasks have equal shares of 1/T where all rely on a channel alike. By the intervals of the shares
(engine.explain.usage), a channel that is used is one of three:

| lead_state | what is sure at 95 %                                                                      |
|------------|-------------------------------------------------------------------------------------------|
| `lead`     | the task with the largest share has more than 1/T: the lower end of its interval is above |
| `lean`     | not that, but some task has less than 1/T: the upper end of its interval is below         |
| `even`     | neither: every task may have 1/T                                                          |

| function       | rows            | columns                                                                |
|----------------|-----------------|------------------------------------------------------------------------|
| `leads`        | cells           | those of `shares.map_cells`, and lead_state: one of these, idle, dead   |
| `lead_counts`  | layers          | layer, depth, total, lead_<task>…, lean_<task>…, even, idle, dead      |
| `lead_summary` | what is counted | what, one per task, all alike: leads, leans, and the strict labels     |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from winnow.dashboard.frames.explanations import explained_layers, explained_tasks, explanation_table, table_version
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.shares import map_cells
from winnow.engine.explain.usage import DEAD, IDLE, SHARED, surely_led
from winnow.engine.runs.derived import DerivedJob

LeadState = Literal["lead", "lean", "even"]
LEAD_STATES: tuple[LeadState, ...] = get_args(LeadState)
OTHERS = "all alike"  # the column of `lead_summary` for what is no single task's
MEANINGS = {
    "lead": "leads: surely more than an equal share",
    "lean": "leans: some other task surely has less",
    "label": "strict label: only this task uses it",
}


def leads(work: DerivedJob) -> pd.DataFrame:
    """Return every cell with its leading task, and how sure that is."""
    return _leads(work.path, table_version(work, "usage"), table_version(work, "relevance"))


def lead_states(cells: pd.DataFrame, used: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return `cells` (dominant, label) with their lead_state, by the intervals of `used`, whose rows are the same."""
    if cells.empty:
        return cells.assign(lead_state=pd.Series(dtype=str))
    equal = 1 / len(names) if len(names) > 1 else 0.0  # a task alone leads whatever it uses
    high = used[[f"high_share_{task}" for task in names]].to_numpy(float)
    silent, sure = cells["label"].isin([DEAD, IDLE]), surely_led(used).ne("")
    found = np.select([silent, sure, (high < equal).any(axis=1)], [cells["label"], "lead", "lean"], "even")
    return cells.assign(lead_state=found)


@latest(16)
def _leads(path: Path, _used: Version, _relevance: Version) -> pd.DataFrame:
    work = DerivedJob(path)
    return lead_states(map_cells(work), explanation_table(work, "usage"), explained_tasks(work))


def lead_counts(work: DerivedJob) -> pd.DataFrame:
    """Return one row per layer, in the order of the network: how many of its channels are led by whom."""
    return counted_by_layer(leads(work), [layer.name for layer in explained_layers(work)], explained_tasks(work))


def counted_by_layer(known: pd.DataFrame, order: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return one row per layer of `order`, counted from a frame of leads."""
    columns = [*(f"{lead_state}_{task}" for lead_state in ("lead", "lean") for task in names), "even", IDLE, DEAD]
    kinds = known["lead_state"].where(
        ~known["lead_state"].isin(["lead", "lean"]), known["lead_state"] + "_" + known["dominant"].astype(str)
    )
    wide = pd.crosstab(known["layer"], kinds).reindex(index=list(order), columns=columns, fill_value=0)
    frame = wide.astype(int).rename_axis(index="layer", columns=None).reset_index()
    frame.insert(1, "depth", np.arange(len(frame)))
    frame.insert(2, "total", frame[columns].sum(axis=1))
    return frame


def lead_summary(known: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return, of a frame of leads, how many channels each task leads, leans to, and uses alone; and what is left."""
    by = {
        lead_state: known.loc[known["lead_state"] == lead_state, "dominant"].value_counts()
        for lead_state in LEAD_STATES
    }
    label = known["label"].value_counts()
    rows = [
        [MEANINGS["lead"], *(int(by["lead"].get(task, 0)) for task in names), "–"],
        [MEANINGS["lean"], *(int(by["lean"].get(task, 0)) for task in names), f"{int(by['even'].sum())} even"],
        [MEANINGS["label"], *(int(label.get(task, 0)) for task in names), f"{int(label.get(SHARED, 0))} shared"],
    ]
    return pd.DataFrame(rows, columns=pd.Index(["channels", *names, OTHERS]))
