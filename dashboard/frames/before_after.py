"""Before and after a pruning: what the network costs, what each task gets.

| function            | rows                     | columns                                                            |
|---------------------|--------------------------|--------------------------------------------------------------------|
| `costs`             | what is counted or timed | quantity, batch, backend, unit; dense, masked, pruned, each with   |
|                     |                          | _low, _high and _steady; left, left_low, left_high [% of dense];   |
|                     |                          | threads, steady                                                    |
| `task_change_frame` | task                     | task, metric, label, unit, better; dense, pruned, repaired,        |
|                     |                          | refitted, final; pruned_change, repaired_change, refitted_change,  |
|                     |                          | final_change [% of dense, above 0 is better]; final is the last of |
|                     |                          | them that there is                                                 |

A figure that is not there is NaN. What is left of a time is steady if dense and pruned are. Where there is no batch or
no backend, they are 0 and "".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from winnow.dashboard.frames.prunings import measures, pruning_metrics
from winnow.engine.runs.derived import DerivedJob, newest_job
from winnow.engine.runs.quantities import Metric
from winnow.engine.runs.run import Run

MODELS = ("dense", "masked", "pruned")
ORDER = ("parameters", "macs", "file_size", "peak_memory", "latency")
TITLES = {
    "parameters": "parameters",
    "macs": "MACs per image",
    "file_size": "file size",
    "peak_memory": "peak memory",
    "latency": "latency",
}
BACKENDS = {"eager": "eager", "torch": "eager", "onnxruntime": "ONNX Runtime"}  # in this order
ENDS = ("value", "low", "high")
AFTER = ("dense", "pruned", "repaired", "refitted")
STAGES = AFTER[1:]
Main = Sequence[tuple[str, Metric]]


@dataclass(frozen=True)
class Realised:
    """What a pruning saves of the whole network [%]; NaN where it was not measured.

    The latency is that of the smallest batch in eager mode, and NaN where the machine was busy.
    """

    pruning: str
    parameters: float
    macs: float
    latency: float


def costs(pruning: DerivedJob) -> pd.DataFrame:
    """Return one row per quantity, batch size and backend."""
    found = measures(pruning)
    counted = ~found["quantity"].isin(["latency", "peak_memory"])
    found = found[found["quantity"].isin(ORDER) & found["model"].isin(MODELS)].assign(
        batch=found["batch"].where(~counted).astype(float).fillna(0),
        backend=found["backend"].map(BACKENDS).where(~counted).fillna(""),
        place=found["quantity"].map({name: place for place, name in enumerate(ORDER)}),
        runtime=found["backend"].map({name: place for place, name in enumerate(BACKENDS)}).where(~counted).fillna(0),
    )
    keys = ["place", "quantity", "runtime", "backend", "batch", "unit"]
    rows = [_cost(dict(zip(keys, key, strict=True)), own) for key, own in found.groupby(keys, sort=True)]
    columns = ["quantity", "batch", "backend", "unit", *_model_columns(), "left", "left_low", "left_high"]
    return pd.DataFrame(rows, columns=[*columns, "threads", "steady"])


def task_change_frame(pruning: DerivedJob, main: Main) -> pd.DataFrame:
    """Return one row per judged task, by the metric that stands for it; a dropped task has no value after."""
    found = pruning_metrics(pruning).set_index(["task", "metric", "model"])["value"].astype(float)
    rows = []
    for task, metric in main:
        if (task, metric.name, "dense") not in found.index:
            continue
        dense, *after = (float(found.get((task, metric.name, model), np.nan)) for model in AFTER)
        sign = 1 if metric.better == "higher" else -1
        relative = [sign * _percent(value - dense, dense) for value in after]
        rows.append([task, metric.name, metric.label, metric.unit, metric.better, dense, *after, *relative])
    columns = ["task", "metric", "label", "unit", "better", *AFTER, *(f"{stage}_change" for stage in STAGES)]
    return with_final(pd.DataFrame(rows, columns=columns))


def with_final(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the last value that there is of each row, and its change: of the network that is kept."""
    stages = {"final": frame[[*STAGES]], "final_change": frame[[f"{stage}_change" for stage in STAGES]]}
    return frame.assign(**{name: own.astype(float).ffill(axis=1).iloc[:, -1] for name, own in stages.items()})


def realised(run: Run) -> Realised | None:
    """Return what the newest pruning of a run saves, None where nothing has been removed."""
    found = newest_job(run, "prune")
    if found is None:
        return None
    known = costs(found)
    timed = known[(known["quantity"] == "latency") & (known["backend"] == "eager") & known["steady"].astype(bool)]
    left = {
        "parameters": known.loc[known["quantity"] == "parameters", "left"],
        "macs": known.loc[known["quantity"] == "macs", "left"],
        "latency": timed.sort_values("batch")["left"],
    }
    return Realised(found.id, **{name: 100 - float(own.iloc[0]) if len(own) else np.nan for name, own in left.items()})


def stages_of(pruning: DerivedJob) -> tuple[str, ...]:
    """Return what the pruned network went through: pruned, and where it was, repaired and refitted."""
    known = set(pruning_metrics(pruning)["model"])
    return tuple(stage for stage in STAGES if stage == "pruned" or stage in known)


def _model_columns() -> list[str]:
    return [f"{model}{end}" for model in MODELS for end in ("", "_low", "_high", "_steady")]


def _cost(row: dict[str, object], own: pd.DataFrame) -> dict[str, object]:
    """Return what one quantity is of each model, and what is left of it."""
    known = own.drop_duplicates("model").set_index("model")[list(ENDS)].astype(float).reindex(list(MODELS))
    for model in MODELS:
        row |= dict(zip((model, f"{model}_low", f"{model}_high"), known.loc[model], strict=True))
    left = {
        name: _percent(float(known[end]["pruned"]), float(known["value"]["dense"]))
        for name, end in zip(("left", "left_low", "left_high"), ENDS, strict=True)
    }
    sure = own.groupby("model")["steady"].all()
    row |= {f"{model}_steady": bool(sure.get(model, True)) for model in MODELS}
    steady = bool(row["dense_steady"] and row["pruned_steady"])
    return {**row, **left, "threads": own["threads"].iloc[0], "steady": steady}


def _percent(part: float, of: float) -> float:
    return 100 * part / abs(of) if of else np.nan
