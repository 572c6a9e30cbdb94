"""Summaries as the two tables of the Runs page.

| function        | rows                                  | columns                                               |
|-----------------|---------------------------------------|-------------------------------------------------------|
| `runs`          | runs, newest first                    | state, star, name, tags, strength, alive [%, a list], |
|                 |                                       | the three sparsities [%], the main metrics, images    |
|                 |                                       | (that they are of), started, duration, id             |
| `compared_runs` | fields of the specs that differ, then | what, and one per run, as text                        |
|                 | the results                           |                                                       |
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from winnow.dashboard.frames.summaries import Summary, image_sets
from winnow.dashboard.shared.formatting import STATES, duration, elapsed, isolated, measured, moment, power, state_word
from winnow.engine.runs.quantities import SPARSITIES, Metric, metric_title
from winnow.engine.specs.penalty import PenaltySpec

SPARSITY_TITLES = {
    "group_sparsity": "Groups zero",
    "parameter_sparsity": "Parameters zero",
    "mac_sparsity": "MACs zero",
}
SHORT = {"group": "groups", "parameter": "params", "mac": "MACs", "latency": "latency", "memory": "memory"}


def runs(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return one row per run."""
    images = image_sets(summaries)
    frame = pd.DataFrame([_row(one, images.get(one.id, "–")) for one in summaries]).reset_index(drop=True)
    results = [name for name in metric_columns(summaries) if name in frame]
    around = [name for name in frame.columns if name not in results]
    place = around.index("images") if around else 0
    return frame[[*around[:place], *results, *around[place:]]]


def metric_columns(summaries: Sequence[Summary]) -> dict[str, Metric]:
    """Return the columns of `runs` that hold a task's main metric, as name → metric."""
    return {
        metric_title(task, metric): metric
        for summary in summaries
        for task, (metric, _) in summary.main_metrics().items()
    }


def compared_runs(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return what differs between the specs of some runs, and their results, one column per run."""
    titles = list(run_titles(summaries))
    specs = [_fields(summary.spec.model_dump(mode="json")) if summary.spec else {} for summary in summaries]
    names = dict.fromkeys(name for spec in specs for name in spec)
    shown = {name: [_said(name, spec.get(name)) for spec in specs] for name in names if name != "name"}
    differing = {name: values for name, values in shown.items() if len(set(values)) > 1}
    rows = {**differing, **_results(summaries)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=titles).rename_axis("what").reset_index()


def _row(summary: Summary, images: str) -> dict[str, Any]:
    word = state_word(summary.status)
    share = f" {100 * summary.status.progress:.0f} %" if summary.status.state == "running" else ""
    results = {metric_title(task, metric): value for task, (metric, value) in summary.main_metrics().items()}
    return {
        "state": f"{STATES[summary.status.state][0]} {word}{share}",
        "star": "★" if summary.labels.star else "",
        "name": summary.name,
        "tags": list(summary.labels.tags),
        "strength": _strength(summary.spec.penalty) if summary.spec else "–",
        "alive": list(summary.alive),
        **{quantity: summary.sparsity(quantity) for quantity in SPARSITIES},
        **results,
        "images": images,
        "started": moment(summary.status.started).removesuffix(" UTC"),
        "duration": duration(elapsed(summary.status)),
        "id": summary.id,
    }


def _strength(penalty: PenaltySpec) -> str:
    """Say the strength, that it is learned, or the target that moves it."""
    if penalty.learned != "no":
        return "learned"
    return power(penalty.strength) if penalty.target is None else f"{penalty.target:g} % {SHORT[penalty.target_of]}"


def run_titles(summaries: Sequence[Summary]) -> dict[str, str]:
    """Return the column of each run, its name, with the id where two runs share one → how a page shows that."""
    names = [one.name for one in summaries]
    return {
        name + more: isolated(name) + more
        for name, more in ((one.name, f" ({one.id})" if names.count(one.name) > 1 else "") for one in summaries)
    }


def _fields(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries to dotted names such as penalty.strength."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _fields(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _said(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "penalty.strength":
        return power(value)
    if name == "strength_changes":
        return ", ".join(f"{power(change['strength'])} from step {change['step']}" for change in value) or "none"
    if name == "target_changes":
        return ", ".join(f"{change['target']:g} % from step {change['step']}" for change in value) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _results(summaries: Sequence[Summary]) -> dict[str, list[str]]:
    """Return the three sparsities and every task's main metric as text, a dash where there is none."""
    rows = {title: [measured(s.sparsity(name), "%") for s in summaries] for name, title in SPARSITY_TITLES.items()}
    rows["Duration"] = [duration(elapsed(summary.status)) for summary in summaries]
    for name, metric in metric_columns(summaries).items():
        found = [{metric_title(t, m): value for t, (m, value) in s.main_metrics().items()} for s in summaries]
        rows[name] = [measured(values.get(name, np.nan), metric.unit) for values in found]
    return rows
