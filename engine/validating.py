"""A network judged on a split: the loss and the metrics of every task, each computed once over all images."""

from collections.abc import Mapping

import torch
from torch import nn

from engine.batches import Batches
from engine.tasks.task import Task


@torch.inference_mode()
def validated(net: nn.Module, tasks: Mapping[str, Task], batches: Batches) -> dict[str, dict[str, float]]:
    """Return {task: {loss and metrics}} over a split. The network is put into evaluation mode, and stays in it."""
    net.eval()
    meters = {name: task.meter() for name, task in tasks.items()}
    losses = dict.fromkeys(tasks, 0.0)
    seen = 0
    for batch in batches.in_order():
        predictions = net(batch.images)
        seen += len(batch.images)
        for name, task in tasks.items():
            losses[name] += float(task.loss(predictions[name], batch.targets[name])) * len(batch.images)
            meters[name].update(predictions[name], batch.targets[name])
    return {name: {"loss": losses[name] / seen, **meters[name].compute()} for name in tasks}
