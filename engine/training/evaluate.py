"""A network judged on a split: the loss and the metrics of every task, each computed once over all images."""

from collections.abc import Mapping

import torch
from torch import nn

from winnow.engine.tasks.task import Meter, Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.distributed.ranks import ALONE, Ranks


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
    seen = 0
    for batch in batches.in_order(ranks):
        predictions = net(batch.images)
        seen += len(batch.images)
        for name, task in tasks.items():
            losses[name] += float(task.loss(predictions[name], batch.targets[name])) * len(batch.images)
            meters[name].update(predictions[name], batch.targets[name])
    if ranks.count > 1:
        losses, seen = _joined(losses, seen, meters, ranks)
    return {name: {"loss": losses[name] / seen, **meters[name].compute()} for name in tasks}


def _joined(
    losses: dict[str, float], seen: int, meters: Mapping[str, Meter], ranks: Ranks
) -> tuple[dict[str, float], int]:
    """Add up what the ranks have gathered: losses and images are returned, meters changed in place."""
    for meter in meters.values():
        for gathered in meter.sums:
            ranks.sum_(gathered)
    *summed, images = ranks.sum_(torch.tensor([*losses.values(), seen], dtype=torch.float64)).tolist()
    return dict(zip(losses, summed, strict=True)), int(images)
