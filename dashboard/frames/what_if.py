"""What if more went? The metrics of each task, as its main metric tells, by what would be removed.

| function         | rows                     | columns                                                              |
|------------------|--------------------------|----------------------------------------------------------------------|
| `what_if_points` | step of the sweep × task | share, threshold, groups, parameters, macs [% removed], task, label, |
|                  |                          | unit, better, value                                                  |
| `steps`          | step of the sweep        | threshold, groups, parameters, MACs [% removed], and one column per  |
|                  |                          | task                                                                 |

A step that removes nothing more than the one before it is left out: what is zero anyway goes first, at no cost.
"""

import pandas as pd

from winnow.dashboard.frames.before_after import Main
from winnow.dashboard.frames.prunings import sweep_frame
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.quantities import metric_title

PLACE = ["share", "threshold", "groups", "parameters", "macs"]


def what_if_points(pruning: DerivedJob, main: Main) -> pd.DataFrame:
    """Return one row per step and task, the tasks in the run's order."""
    found = sweep_frame(pruning)
    parts = [
        found[(found["task"] == task) & (found["metric"] == metric.name)].assign(
            label=metric.label, unit=metric.unit, better=metric.better
        )
        for task, metric in main
    ]
    columns = [*PLACE, "task", "label", "unit", "better", "value"]
    whole = pd.concat(parts) if parts else found.reindex(columns=columns)
    return whole.drop_duplicates(["task", "groups", "parameters", "macs"])[columns].reset_index(drop=True)


def steps(pruning: DerivedJob, main: Main) -> pd.DataFrame:
    """Return one row per step: up to which score what goes, what that saves, what each task gets."""
    known = what_if_points(pruning, main)
    table = known.drop_duplicates("share")[PLACE[1:]].reset_index(drop=True)
    for task, metric in main:
        own = known[known["task"] == task]
        table[metric_title(task, metric)] = own["value"].reset_index(drop=True)
    return table.rename(columns={"macs": "MACs"})
