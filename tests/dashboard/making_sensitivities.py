"""A small sensitivity analysis, written as the worker writes it: engine.jobs.sensitivity_job has the columns."""

from typing import Any

import pandas as pd

from tests.dashboard.making import START
from tests.dashboard.pruning_making import set_status, write_table
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.run import Run
from winnow.engine.studies.layer_budgets import COLUMNS, suggested_budgets, with_falls

SHARES = (25.0, 50.0, 90.0)
VALUES = {
    "stem": (1.0, 1.02, 1.5),
    "<b>deep</b>": (1.001, 1.004, 1.2),
    "late": (1.5, 2.0, 3.0),
}  # of 1.0, lower is better


def write_sensitivity(run: Run, state: str = "done", **spec: Any) -> DerivedJob:
    """Write an analysis of three layers and the task depth that ended."""
    work = derived_job(run, read({"kind": "sensitivity", "shares": list(SHARES), **spec}))
    set_status(work, state=state, phase=state, progress=1.0, started=START + 70, finished=START + 82, requested=START)
    table = falls()
    write_table(work, "sensitivity", table)
    write_table(work, "suggested", suggested_budgets(table, 1.0))
    write_table(work, "judged_on", pd.DataFrame({"step": [30], "images": [64]}))
    return work


def falls() -> pd.DataFrame:
    """Return what each cut costs."""
    rows = [
        [
            layer,
            20,
            2,
            share,
            round(share / 5),
            share / 30,
            share / 20,
            "depth",
            "abs_error",
            "m",
            False,
            1.0,
            own[place],
        ]
        for layer, own in VALUES.items()
        for place, share in enumerate(SHARES)
    ]
    return with_falls(pd.DataFrame(rows, columns=list(COLUMNS[:-1])))
