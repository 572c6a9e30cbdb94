"""The tables of a pruning.

| table      | columns                                                                                             |
|------------|-----------------------------------------------------------------------------------------------------|
| `units`    | layer, channel, idle (used by nothing before), gone (removed), score (NaN without a budget)         |
| `sweep`    | share, threshold, groups, parameters, macs [%], task, metric, value (`engine.pruning.sweep`)        |
| `saved`    | of (group, parameter, mac, latency), value [%]: the share of the network that is saved              |
| `removed`  | layer, shape_before, shape_after, parameters_before, parameters_after                               |
| `reasons`  | kind (kept, gathered, folded, constant, hollow), layer, reason                                      |
| `metrics`  | model (dense, pruned, refitted), task, metric, value, unit, higher_is_better; on the validation     |
|            | images                                                                                              |
| `measures` | model (dense, masked, pruned), quantity, batch, backend, value, low, high, unit, threads, steady    |

`measures` is a frame of `engine.measure.comparison.compare`. `masked` is the network with the removed channels set to
zero, in its old shape: it computes what the pruned one computes, and shows what zeros alone save. The certificate is
beside the tables (`engine.jobs.certificate_file`).
"""

from collections.abc import Callable, Mapping

import pandas as pd
from torch import Tensor, nn

from winnow.engine.export import NotDescribable, NotSame
from winnow.engine.measure.comparison import compare
from winnow.engine.measure.timing import Timing
from winnow.engine.runs.quantities import metrics as known_metrics
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.tasks.task import Task

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


def measures_table(
    models: Mapping[str, nn.Module], example: Tensor, spec: PruneSpec, tell: Callable[[str, float], None]
) -> tuple[pd.DataFrame, str]:
    """Return what several models cost and how long they take, side by side, and a sentence on what was not measured.

    Where ONNX Runtime cannot run a model, all are timed in torch alone.
    """
    timing = Timing(rounds=spec.rounds, threads=spec.threads)
    backends = None if spec.onnx else ("eager",)
    try:
        return compare(models, example, batches=spec.batches, backends=backends, timing=timing, progress=tell), ""
    except (NotDescribable, NotSame) as error:
        frame = compare(models, example, batches=spec.batches, backends=("eager",), timing=timing, progress=tell)
        return frame, f"not timed in ONNX Runtime: {error}"
