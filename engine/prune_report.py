"""What a pruning leaves in its folder: tables for the page, and the certificate.

| table      | columns                                                                                             |
|------------|-----------------------------------------------------------------------------------------------------|
| `units`    | layer, channel, idle (of no use before), gone, score (of criterion norm or relevance; else NaN)     |
| `sweep`    | share, threshold, groups, parameters, macs [%], task, metric, value (`engine.pruning.sweep`)        |
| `saved`    | of (group, parameter, mac, latency), value [%]: what the choice saves of the network                |
| `removed`  | layer, shape_before, shape_after, parameters_before, parameters_after                               |
| `reasons`  | kind (kept, gathered, folded), layer, reason                                                        |
| `metrics`  | model (dense, pruned, refitted), task, metric, value, unit, higher_is_better; on the validation     |
|            | images                                                                                              |
| `measures` | model (dense, masked, pruned), quantity, batch, backend, value, low, high, unit, threads, steady    |
|            | (`engine.measure.compare`)                                                                          |

`masked` is the network with what went at zero, still in its old shape: it computes what the pruned one computes, and
shows what zeros alone save. `certificate.json` holds what was compared, on what, and how large the differences were.
"""

from collections.abc import Mapping

import pandas as pd

from engine.prune_spec import PruneSpec
from engine.pruning import Certificate
from engine.quantities import metrics as known_metrics
from engine.tasks.task import Task

METRICS = ["model", "task", "metric", "value", "unit", "higher_is_better"]


def metrics_table(found: Mapping[str, Mapping[str, Mapping[str, float]]], tasks: Mapping[str, Task]) -> pd.DataFrame:
    """Return {model: {task: {metric: value}}} as rows; losses have no unit."""
    rows = []
    for model, by_task in found.items():
        for task, values in by_task.items():
            known = {metric.name: metric for metric in known_metrics(tasks[task].field)}
            for name, value in values.items():
                metric = known.get(name)
                higher = metric is not None and metric.better == "higher"
                rows.append([model, task, name, value, metric.unit if metric else "", higher])
    return pd.DataFrame(rows, columns=METRICS)


def reasons_table(certificate: Certificate) -> pd.DataFrame:
    """Return why channels stayed, and what layers do to have the rest gone."""
    kinds = {"kept": certificate.kept_for, "gathered": certificate.gathered, "folded": certificate.folded}
    rows = [[kind, layer, reason] for kind, found in kinds.items() for layer, reason in found.items()]
    return pd.DataFrame(rows, columns=["kind", "layer", "reason"])


def certificate_document(certificate: Certificate, spec: PruneSpec, compared: str) -> dict[str, object]:
    """Return the certificate as JSON; `compared` says which model the smaller one was compared with."""
    removed = certificate.removed
    return {
        "format_version": 1,
        "criterion": spec.criterion,
        "tasks": list(spec.tasks) or "all",
        "compared_with": compared,
        "inputs": list(certificate.inputs),
        "max_error_float32": certificate.max_error_float32,
        "max_error_float64": certificate.max_error_float64,
        "relative_error_float32": certificate.relative_error_float32,
        "relative_error_float64": certificate.relative_error_float64,
        "layers": len(removed),
        "parameters_removed": int((removed["parameters_before"] - removed["parameters_after"]).sum()),
        "fixed_sizes": certificate.fixed_sizes,
        "refitted_afterwards": spec.refit_epochs > 0,
    }
