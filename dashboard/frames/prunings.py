"""What a pruning found (engine.jobs.prune_report), each table read again only when it is replaced.

| function             | columns                                                                  |
|----------------------|--------------------------------------------------------------------------|
| `pruning_metrics`    | model, task, metric, value, unit, higher_is_better                       |
| `measures`           | model, quantity, batch, backend, value, low, high, unit, threads, steady |
| `removed_by_pruning` | layer, shape_before, shape_after, parameters_before, parameters_after    |
| `reasons`            | kind, layer, reason                                                      |
| `sweep_frame`        | share, threshold, groups, parameters, macs, task, metric, value          |
| `saved`              | of, value [%]                                                            |

A pruning that has not come so far has no such table: the frame is empty then, with its columns.
"""

import pandas as pd

from winnow.dashboard.frames.file_versions import Version, version
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.dashboard.shared.formatting import STATES, asked_of, moment
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.prune import PruneSpec

COLUMNS = {
    "metrics": ("model", "task", "metric", "value", "unit", "higher_is_better"),
    "measures": (
        "model",
        "quantity",
        "batch",
        "backend",
        "value",
        "low",
        "high",
        "unit",
        "threads",
        "steady",
    ),
    "removed": ("layer", "shape_before", "shape_after", "parameters_before", "parameters_after"),
    "reasons": ("kind", "layer", "reason"),
    "sweep": ("share", "threshold", "groups", "parameters", "macs", "task", "metric", "value"),
    "saved": ("of", "value"),
}


def pruning_metrics(pruning: DerivedJob) -> pd.DataFrame:
    """Return the metrics of every task on the validation images, before and after."""
    return stored(pruning, "metrics", COLUMNS)


def measures(pruning: DerivedJob) -> pd.DataFrame:
    """Return what each model costs: counted, and timed."""
    return stored(pruning, "measures", COLUMNS)


def removed_by_pruning(pruning: DerivedJob) -> pd.DataFrame:
    """Return one row per layer that lost something."""
    return stored(pruning, "removed", COLUMNS)


def reasons(pruning: DerivedJob) -> pd.DataFrame:
    """Return why channels stayed, and what layers do to have the rest gone."""
    return stored(pruning, "reasons", COLUMNS)


def sweep_frame(pruning: DerivedJob) -> pd.DataFrame:
    """Return the metrics as more and more goes; nothing where only zeros went."""
    return stored(pruning, "sweep", COLUMNS)


def saved(pruning: DerivedJob) -> dict[str, float]:
    """Return what the choice saves of the network [%], by what is counted."""
    frame = stored(pruning, "saved", COLUMNS)
    return dict(zip(frame["of"].astype(str), frame["value"].astype(float), strict=True))


def pruning_versions(pruning: DerivedJob) -> tuple[Version, ...]:
    """Return when each table, and the certificate, was last replaced."""
    return (*(stored_version(pruning, name) for name in COLUMNS), version(pruning.path / "certificate.json"))


def pruning_called(pruning: DerivedJob) -> str:
    """Return how a pruning is called in a selector: how it ended, when it was made, what was asked."""
    status = pruning.recorded_status()
    try:
        asked = asked_of(pruning.spec) if isinstance(pruning.spec, PruneSpec) else pruning.id
    except (OSError, SpecError, ValueError):
        asked = pruning.id
    return f"{STATES[status.state][0]} {moment(status.started or status.requested)} · {asked}"
