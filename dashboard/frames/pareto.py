"""What does quality cost? Runs by their costs and by what they reach, seeds together, the non-dominated ones marked.

| function              | rows           | columns                                                                     |
|-----------------------|----------------|-----------------------------------------------------------------------------|
| `of_study`, `of_runs` | runs           | group, title, arm, seed, run, cost, reached: what can't be told is left out |
|                       |                | (`undrawn_runs`, `undrawn_members` say why)                                 |
| `pareto_groups`       | groups of runs | group, title, arm, run (of the first seed), seeds, cost, cost_low,          |
|                       | that differ in | cost_high, reached, low, high (95 % intervals of the means; infinite for    |
|                       | the seed alone | one seed), front: whether none is better in both                            |

Costs: `macs` and `parameters` [1] of one image, what can be removed without changing an output taken away; `latency`
[s] of the smallest batch of the newest pruning, where the machine was quiet.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from winnow.dashboard.frames import before_after, studies
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.shared.formatting import level_word
from winnow.engine.runs.derived import newest_job
from winnow.engine.runs.quantities import Metric, metrics
from winnow.engine.runs.reading import checked_table
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.studies.intervals import mean_of

Cost = Literal["macs", "parameters", "latency"]
COLUMNS = ["group", "title", "arm", "seed", "run", "cost", "reached"]
FOUND = [
    "group", "title", "arm", "run", "seeds", "cost", "cost_low", "cost_high", "reached", "low", "high", "front",
]  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """What is held against the costs: Δ_m (against, definition) or a metric of a task; on which split; which tasks."""

    split: str
    subset: str
    task: str = ""
    metric: str = ""
    against: str = ""
    definition: str = ""
    higher: bool = True


def of_study(study: Study, reached: Reached, cost: Cost) -> pd.DataFrame:
    """Return one row per run of a study that trains the wanted tasks."""
    results = studies.study_table(study, "results")
    own = results[(results["split"] == reached.split) & (results["subset"] == reached.subset)]
    runs = own.drop_duplicates("run").set_index("run")
    values = _delta(study, reached) if reached.against else _metric(own, reached)
    rows: list[list[object]] = []
    for run, row in runs.iterrows():
        who = [str(row[name]) for name in ("arm", "balancing", "level_of", "level")]
        title = (
            f"{row['arm']} {level_word(str(row['level_of']), float(row['level']))}" if row["level_of"] else row["arm"]
        )
        total, removable = (
            tuple(float(row[f"{of}{name}"]) for name in ("parameters", "macs")) for of in ("", "removable_")
        )
        left = _cost(study.root / Path(str(run)).name, cost, (total[0], total[1]), (removable[0], removable[1]))
        rows.append(["/".join(who), str(title), row["arm"], int(row["seed"]), run, left, values.get(str(run), np.nan)])
    return _known(rows)


def of_runs(known: Sequence[Summary], root: Path, wanted: tuple[str, Metric], cost: Cost) -> pd.DataFrame:
    """Return one row per run that trains a task and whose network is known; metrics on validation, as they stand."""
    task, metric = wanted
    rows: list[list[object]] = []
    for summary in known:
        if summary.spec is None or task not in summary.spec.tasks:
            continue
        if metric not in metrics(summary.spec.fields[task]):  # in another unit, or of another kind
            continue
        removable = tuple(summary.newest.get((None, f"removable_{name}"), 0.0) for name in ("parameters", "macs"))
        folder = root / summary.id
        left = _cost(folder, cost, _total(folder), (removable[0], removable[1]))
        alike = summary.spec.model_dump_json(exclude={"seed", "name"})
        reached = summary.newest.get((task, metric.name), np.nan)
        rows.append([alike, summary.name, "", summary.spec.seed, summary.id, left, reached])
    return _known(rows)


def undrawn_runs(known: Sequence[Summary], points: pd.DataFrame, wanted: tuple[str, Metric]) -> dict[str, list[str]]:
    """Return why some runs are not among the points that `of_runs` made: reason → the names of the runs."""
    drawn, found = set(points["run"]), dict[str, list[str]]()
    for summary in known:
        if summary.id not in drawn:
            found.setdefault(_why_left_out(summary, *wanted), []).append(summary.name)
    return found


def _why_left_out(summary: Summary, task: str, metric: Metric) -> str:
    if summary.spec is None:
        return "description damaged"
    if task not in summary.spec.tasks:
        return f"no task {task}"
    if metric not in metrics(summary.spec.fields[task]):
        return f"{task} is of another kind, or in another unit"
    if not np.isfinite(summary.newest.get((task, metric.name), np.nan)):
        return f"no value of {metric.label} so far, or not a finite one"
    return "cost not known"


def undrawn_members(study: Study, points: pd.DataFrame, subset: str) -> tuple[int, Counter[str]]:
    """Return how many runs of a study train these tasks, and of how many in which state `of_study` made no point."""
    members = studies.study_table(study, "members")
    own = members[members["subset"] == subset]
    return len(own), Counter(own.loc[~own["run"].isin(points["run"]), "state"].astype(str))


def pareto_groups(points: pd.DataFrame, higher: bool) -> pd.DataFrame:
    """Return the runs that differ in the seed alone as one row each; `higher`: whether more is better."""
    rows = []
    for group, own in points.groupby("group", sort=False):
        own = own.drop_duplicates("seed")  # a run that was repeated is no second seed; the newest counts
        first = own.sort_values("seed", kind="stable").iloc[0]
        cost, reached = mean_of(own["cost"].tolist()), mean_of(own["reached"].tolist())
        ends = [cost.mean, cost.low, cost.high, reached.mean, reached.low, reached.high]
        rows.append([group, first["title"], first["arm"], first["run"], len(own), *ends, False])
    frame = pd.DataFrame(rows, columns=pd.Index(FOUND))
    return frame.assign(front=front(frame["cost"], frame["reached"], higher))


def front(cost: pd.Series, reached: pd.Series, higher: bool) -> pd.Series:
    """Return which rows no other one beats: cheaper and at least as good, or better at no higher cost."""
    good = reached.astype(float) * (1 if higher else -1)
    order = pd.DataFrame({"cost": cost.astype(float), "good": -good}).sort_values(["cost", "good"], kind="stable").index
    best = good.loc[order].cummax().shift(fill_value=-np.inf)
    return (good.loc[order] > best).reindex(cost.index).astype(bool)


def _known(rows: list[list[object]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=pd.Index(COLUMNS)).astype({"cost": float, "reached": float})
    finite = frame.replace([np.inf, -np.inf], np.nan)
    return finite.dropna(subset=["cost", "reached"]).reset_index(drop=True)


def _delta(study: Study, reached: Reached) -> dict[str, float]:
    """Return Δ_m by run."""
    known = studies.study_table(study, "delta")
    own = known[
        (known["split"] == reached.split)
        & (known["against"] == reached.against)
        & (known["definition"] == reached.definition)
    ]
    return dict(zip(own["run"], own["delta"].astype(float), strict=True))


def _metric(own: pd.DataFrame, reached: Reached) -> dict[str, float]:
    wanted = own[(own["task"] == reached.task) & (own["metric"] == reached.metric)]
    return dict(zip(wanted["run"], wanted["value"].astype(float), strict=True))


def _cost(run: Path, cost: Cost, total: tuple[float, float], removable: tuple[float, float]) -> float:
    """Return what a run's network costs without what can be removed; `total`, `removable` [%]: parameters, macs."""
    if cost == "latency":
        return _latency(run)
    place = ("parameters", "macs").index(cost)
    return float(total[place]) * (1 - float(removable[place]) / 100)


def _latency(run: Path) -> float:
    """Return the time of one forward pass of the pruned network [s], NaN where none was measured in quiet."""
    pruning = newest_job(Run(run), "prune")
    if pruning is None:
        return float("nan")
    known = before_after.costs(pruning)
    timed = known[(known["quantity"] == "latency") & (known["backend"] == "eager") & known["steady"].astype(bool)]
    return float(timed.sort_values("batch")["pruned"].iloc[0]) if len(timed) else float("nan")


def _total(run: Path) -> tuple[float, float]:
    file = run / "tables" / "components.parquet"
    return _counted(file, version(file))


@latest(4096)
def _counted(file: Path, written: Version) -> tuple[float, float]:
    if not any(written):
        return float("nan"), float("nan")
    total = checked_table(file)[["parameters", "macs"]].iloc[-1]
    return float(total["parameters"]), float(total["macs"])
