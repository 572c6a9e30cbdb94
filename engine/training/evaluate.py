"""A network judged on a split: the loss and the metrics of every task, each computed once over all images.

A loss divides by what is labelled in the whole split, so that it is the same for every size of the batches. A task
without any label in the split has no loss and no metric: NaN.
"""

import math
from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.runs.quantities import metrics
from winnow.engine.tasks.task import Meter, RowMeter, Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.distributed.ranks import ALONE, Ranks

COLUMNS = ["model", "task", "metric", "value", "unit", "higher_is_better"]
AT_ONCE = 64  # targets that are looked at together


@torch.inference_mode()
def validated(
    net: nn.Module, tasks: Mapping[str, Task], batches: Batches, ranks: Ranks = ALONE
) -> dict[str, dict[str, float]]:
    """Return {task: {loss and metrics}} over a split. The network is put into evaluation mode, and stays in it.

    Several `ranks` share the batches, and each returns what one alone would, to the rounding of float64.
    """
    net.eval()
    meters = {name: task.meter() for name, task in tasks.items()}
    losses = dict.fromkeys(tasks, 0.0)
    counts = {name: labelled(task, batches, name).to(batches.device) for name, task in tasks.items()}
    for batch in batches.in_order(ranks):
        predictions = net(batch.images)
        for name, task in tasks.items():
            losses[name] += float(task.loss(predictions[name], batch.targets[name], counts[name]))
            meters[name].update(predictions[name], batch.targets[name])
    if ranks.count > 1:
        losses = _joined(losses, meters, ranks)
    found = {name: {"loss": losses[name], **meters[name].compute()} for name in tasks}
    return {name: own if counts[name].any() else dict.fromkeys(own, math.nan) for name, own in found.items()}


def metrics_table(found: Mapping[str, Mapping[str, Mapping[str, float]]], tasks: Mapping[str, Task]) -> pd.DataFrame:
    """Return {model: {task: {metric: value}}} as rows; losses have no unit."""
    rows = []
    for model, by_task in found.items():
        for task, values in by_task.items():
            known = {metric.name: metric for metric in metrics(tasks[task].field)}
            for name, value in values.items():
                metric = known.get(name)
                higher = metric is not None and metric.better == "higher"
                rows.append([model, task, name, value, metric.unit if metric else "", higher])
    return pd.DataFrame(rows, columns=COLUMNS)


def labelled(task: Task, batches: Batches, name: str) -> Tensor:
    """Return how much of a split a task's loss divides by, (counts,): all zero where it has no label."""
    parts = torch.split(batches.target(name), AT_ONCE)
    return torch.stack([task.counts(part) for part in parts]).sum(0)


def _joined(losses: dict[str, float], meters: Mapping[str, Meter], ranks: Ranks) -> dict[str, float]:
    """Return the losses of all ranks, added up; meters are joined in place."""
    for meter in meters.values():
        for gathered in meter.sums:
            ranks.sum_(gathered)
        if isinstance(meter, RowMeter):
            meter.take([ranks.rows(own) for own in meter.rows])
    summed = ranks.sum_(torch.tensor([*losses.values()], dtype=torch.float64)).tolist()
    return dict(zip(losses, summed, strict=True))
