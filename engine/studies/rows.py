"""The results of a study's run as plain rows: the only place where a study reads events.

A row of `results` is one metric of one task of one run on one split; see COLUMNS. The split `val` chose the epoch;
`test` was looked at once.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from winnow.engine.runs.quantities import SPARSITIES, metrics
from winnow.engine.runs.run import Run
from winnow.engine.studies.skill import Figures, skill

WHO = ["arm", "subset", "balancing", "level_of", "level", "seed", "run"]
SHARES = (*SPARSITIES, "removable_parameters", "removable_macs", "gathered_macs")
FIGURES = (*SHARES, "skill", "strength", "parameters", "macs")
COLUMNS = [*WHO, "split", "task", "metric", "value", "unit", "higher_is_better", "main", *FIGURES]
SPLITS = {"kept": "val", "test": "test"}  # the split's name in events, and in tables


def result_rows(who: Mapping[str, object], run: Run) -> list[dict[str, object]]:
    """Return the rows of a finished run; `who` is its place in the study, WHO without the run."""
    events = run.events()
    figures = final_figures(run, events)
    rows = []
    for split, named in SPLITS.items():
        reached = _by_task(events, split)
        for task, own in reached.items():
            for place, metric in enumerate(metrics(run.spec.fields[task])):
                judged = {
                    "split": named,
                    "task": task,
                    "metric": metric.name,
                    "value": own.get(metric.name, float("nan")),
                    "unit": metric.unit,
                    "higher_is_better": metric.better == "higher",
                    "main": place == 0,
                }
                rows.append({**who, "run": run.id, **judged, **figures})
    return rows


def final_figures(run: Run, events: pd.DataFrame | None = None) -> dict[str, float]:
    """Return the three sparsities and what is removable [%], the skill on validation, λ at the end, and the costs.

    `parameters` and `macs` are those of the whole network, with nothing removed.
    """
    events = run.events() if events is None else events
    ends = events[events["task"].isna() & events["split"].isin(["model", "kept"])]
    last = dict(zip(ends["quantity"], ends["value"], strict=True))
    found = {name: float(last.get(name, float("nan"))) for name in SHARES}
    constant, reached = _by_task(events, "constant"), _by_task(events, "kept")
    fields = run.spec.fields
    found["skill"] = skill(reached, constant, fields) if reached and constant else float("nan")
    strengths = events[(events["quantity"] == "strength") & (events["split"] == "train") & (events["value"] > 0)]
    found["strength"] = float(strengths["value"].iloc[-1]) if len(strengths) else 0.0
    return found | _costs(run)


def results_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return the rows as the table `results`."""
    return pd.DataFrame(list(rows), columns=pd.Index(COLUMNS))


def _costs(run: Run) -> dict[str, float]:
    total = run.table("components").iloc[-1]
    return {name: float(total[name]) for name in ("parameters", "macs")}


def _by_task(events: pd.DataFrame, split: str) -> Figures:
    own = events[(events["split"] == split) & events["task"].notna()]
    found: dict[str, dict[str, float]] = {}
    for task, quantity, value in zip(own["task"], own["quantity"], own["value"], strict=True):
        found.setdefault(str(task), {})[str(quantity)] = float(value)
    return found
