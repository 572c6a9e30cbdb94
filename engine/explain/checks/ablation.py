"""Ablation, the ground truth: channels are removed, and every task's loss and metric are measured again.

What is removed is what one layer reads of some of its channels (a cell; see `engine.explain.relevance`): the activation
is replaced by the channel's mean over images and positions, or by zero. Only the modules after the layer run again
(`engine.explain.checks.suffix`), which is exact. Columns of the rows:

| column                               |                                                                              |
|--------------------------------------|------------------------------------------------------------------------------|
| layer, channel                       | the cell; channel is -1 where several are removed together                   |
| group                                | the name of the deletion, "" for a single channel                            |
| channels                             | how many are removed                                                         |
| task, fill, images                   | the task, what replaces the channels, how many images                        |
| loss, loss_change                    | mean over images of each image's loss, and its rise above the full model's   |
| effect                               | mean over images of |change| of the objective, the loss or the output        |
| metric, value, value_change          | the task's main metric (runs.quantities); None and NaN for a plain function|
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from winnow.engine.explain.checks.suffix import Suffix, suffix_of
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Change, Site
from winnow.engine.tasks.main_metric import MainMetric, main_metric
from winnow.engine.training.batches import Batch

BLOCK = 20  # deletions measured on one recorded prefix; if the process ends, one block is lost
COLUMNS = [
    "layer", "channel", "group", "channels", "task", "fill", "images", "loss", "loss_change", "effect", "metric",
    "value", "value_change",
]  # fmt: skip


@dataclass(frozen=True)
class Deletion:
    """Channels of one layer that are removed together, and the name of that; a single channel needs no name."""

    layer: str
    channels: tuple[int, ...]
    group: str = ""

    @property
    def channel(self) -> int:
        """The channel; -1 for several, or where there is a name."""
        return self.channels[0] if len(self.channels) == 1 and not self.group else -1

    @property
    def key(self) -> tuple[str, int, str]:
        """What identifies this deletion in a table."""
        return self.layer, self.channel, self.group


@dataclass
class _Sums:
    """Sums over the images for one task and one deletion, or none."""

    metric: MainMetric
    loss: float = 0.0
    rise: float = 0.0
    effect: float = 0.0

    def add(self, prediction: Tensor, prepared: Any, losses: tuple[Tensor, Tensor], changes: Tensor) -> None:
        now, before = losses
        self.loss += float(now.sum())
        self.rise += float((now - before).sum())  # image by image: the sums are far larger than their difference
        self.effect += float(changes.abs().sum())
        self.metric.update(prediction, prepared)


def ablations(
    probe: Probe, deletions: Sequence[Deletion], means: Means, done: Collection[tuple[str, int, str]] = ()
) -> Iterator[pd.DataFrame]:
    """Yield the rows of the deletions, block by block, layer after layer; those whose key is in `done` are skipped.

    Raises:
        ValueError: a deletion names a layer or a channel that the probe does not have.

    """
    left = [deletion for deletion in deletions if deletion.key not in set(done)]
    _check(probe, left)
    for site in probe.sites:
        own = [deletion for deletion in left if deletion.layer == site.name]
        for first in range(0, len(own), BLOCK):
            yield _block(probe, site, own[first : first + BLOCK], means)


def _check(probe: Probe, deletions: Sequence[Deletion]) -> None:
    widths = {site.name: site.channels for site in probe.sites}
    for deletion in deletions:
        if deletion.layer not in widths:
            raise ValueError(f"`deletions` must be in layers {', '.join(widths)}, got layer {deletion.layer!r}.")
        width = widths[deletion.layer]
        if not deletion.channels or min(deletion.channels) < 0 or max(deletion.channels) >= width:
            raise ValueError(
                f"`deletions` must name channels 0 to {width - 1} of {deletion.layer}, got {deletion.channels}."
            )


@torch.no_grad()
def _block(probe: Probe, site: Site, deletions: Sequence[Deletion], means: Means) -> pd.DataFrame:
    """Measure some deletions of one layer on all images: one recorded pass, then the layer's suffix for each."""
    sums = [_empty_sums(probe) for _ in range(len(deletions) + 1)]  # first those of the full model
    images = 0
    with frozen_model(probe.model), suffix_of(probe.model, site) as suffix:
        for batch in probe.batches():
            images += len(batch.images)
            _measure(_Compared(probe, batch), suffix, [None, *(_removing(site, d, means) for d in deletions)], sums)
    frames = [_rows(probe, deletion, sums[0], own, images) for deletion, own in zip(deletions, sums[1:], strict=True)]
    return pd.concat(frames, ignore_index=True)


class _Compared:
    """One batch, with the frozen part of the objectives and the values of the full model."""

    def __init__(self, probe: Probe, batch: Batch) -> None:
        self.probe, self.batch = probe, batch
        self.frozen: dict[str, Tensor] = {}
        self.prepared: dict[str, Any] = {}  # the targets, as the main metric takes them
        self.whole: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, predictions: Any, sums: dict[str, _Sums]) -> None:
        """Add a pass to the sums; the first pass is that of the full model."""
        for name, objective in self.probe.objectives.items():
            prediction, target = (
                predictions[name],
                objective.losses.freeze(predictions[name], self.batch.targets.get(name)),
            )
            if name not in self.frozen:
                self.frozen[name] = objective.freeze(prediction, target)
                self.prepared[name] = sums[name].metric.prepared(target)
            losses = objective.losses.value(prediction, target)
            values = losses if objective.of == "loss" else objective.value(prediction, self.frozen[name])
            before, start = self.whole.setdefault(name, (losses, values))
            sums[name].add(prediction, self.prepared[name], (losses, before), values - start)


def _measure(
    compared: _Compared, suffix: Suffix, changes: Sequence[Change | None], sums: Sequence[dict[str, _Sums]]
) -> None:
    images = compared.batch.images
    for change, own in zip(changes, sums, strict=True):
        with suffix.site.changing(change) if change is not None else nullcontext():
            compared.add(suffix.record(images) if change is None else suffix.again(images), own)


def _removing(site: Site, deletion: Deletion, means: Means) -> Change:
    places = torch.tensor(deletion.channels)

    def change(x: Tensor) -> Tensor:
        removed = x.clone()
        own = removed.movedim(site.layout.channels, 0)
        fill = means[site.name][places].to(x).view(-1, *[1] * (x.dim() - 1))
        own[places.to(x.device)] = fill.expand(-1, *own.shape[1:])
        return removed

    return change


def _empty_sums(probe: Probe) -> dict[str, _Sums]:
    return {name: _Sums(main_metric(objective.task)) for name, objective in probe.objectives.items()}


def _rows(probe: Probe, deletion: Deletion, full: dict[str, _Sums], own: dict[str, _Sums], images: int) -> pd.DataFrame:
    rows = []
    for name in probe.objectives:
        before, after = full[name], own[name]
        value, start_value = after.metric.value(), before.metric.value()
        start = [deletion.layer, deletion.channel, deletion.group, len(deletion.channels), name]
        middle = [probe.settings.fill, images, after.loss / images, after.rise / images, after.effect / images]
        rows.append([*start, *middle, after.metric.name, value, value - start_value])
    return pd.DataFrame(rows, columns=COLUMNS)
