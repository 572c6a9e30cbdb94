"""One pass of a batch through trunk and heads: where they meet, and the loss of every task over the whole batch.

The whole batch may be more than what passes at once. Over several processes (`training.ranks`) each has its slice; with
`accumulate = k` a slice goes through in k micro-batches, one after the other. Losses are those of the whole batch
either way: what they divide by is counted over all of it first, and shares add up.

A micro-batch keeps its features and its share of the losses, nothing in between, and is computed again when the
gradient comes back (torch.utils.checkpoint). So a step needs the memory of one micro-batch and one more forward pass,
and every balancing has all features, losses and task gradients before it at once, as without accumulation. Batch norms
alone see micro-batches: each is normalised, and moves the running statistics, by itself.

With a teacher (`engine.training.distillation`) the loss of task k is (1 − α) L_k + α D_k, where D_k is the mean
distance from the teacher's predictions over the images of the whole batch. So every balancing weighs what is minimised.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from winnow.engine.networks.multitask import MultiTaskNet, Seam
from winnow.engine.training.balancing.balancer import Cut
from winnow.engine.training.batches import Batch
from winnow.engine.training.distributed.ranks import Ranks
from winnow.engine.training.state import Training


def forward(training: Training, batch: Batch) -> tuple[Cut, dict[str, Tensor]]:
    """Return the seam of trunk and heads for this process's slice of a batch, and each task's loss over the batch."""
    net = training.net
    if not isinstance(net, MultiTaskNet):
        return _whole_network(training, batch)
    if training.ranks.count > 1 or training.spec.accumulate > 1:
        return _in_parts(training, net, batch)
    seam = Seam(net)
    with arithmetic(training):
        cut = training.balancer.cut(seam.features(batch.images))
        predictions = seam.read(cut.views, batch.images.shape[-2:])
    losses = {name: task.loss(predictions[name].float(), batch.targets[name]) for name, task in training.tasks.items()}
    if training.teacher is not None:
        losses = training.teacher.mixed(losses, predictions, training.teacher.wanted(batch.images))
    return cut, losses


@dataclass(frozen=True)
class _Known:
    """What some images are judged by: per task targets, what the loss divides by, and the teacher's predictions.

    `share` is theirs of the images of the whole batch.
    """

    targets: Sequence[Tensor]
    counts: Sequence[Tensor]
    wanted: Mapping[str, Tensor]
    share: float


def _known(training: Training, batch: Batch) -> list[_Known]:
    """Return what each micro-batch is judged by."""
    parts, names = training.spec.accumulate, list(training.tasks)
    counts = batch_counts(training, batch)
    targets = zip(*(batch.targets[name].tensor_split(parts) for name in names), strict=True)
    if training.teacher is None:
        return [_Known(own, counts, {}, 0.0) for own in targets]
    whole = float(training.ranks.sum_(torch.tensor([float(len(batch.images))], device=training.device)))
    return [
        _Known(own, counts, training.teacher.wanted(images), len(images) / whole)
        for own, images in zip(targets, batch.images.tensor_split(parts), strict=True)
    ]


def _whole_network(training: Training, batch: Batch) -> tuple[Cut, dict[str, Tensor]]:
    """Return the losses of a network without a seam, such as the user's own; `Cut` holds an empty tensor.

    Balancers whose weights follow from the losses alone need none.
    """
    parts, names = training.spec.accumulate, list(training.tasks)
    shares = [
        _again(training, partial(_losses_of_net, training, known), images)
        for images, known in zip(batch.images.tensor_split(parts), _known(training, batch), strict=True)
    ]
    losses = whole_batch(training.ranks, torch.stack(shares).sum(0))
    return Cut(batch.images.new_zeros(0), {}), dict(zip(names, losses.unbind(), strict=True))


def _losses_of_net(training: Training, known: _Known, images: Tensor) -> Tensor:
    """Return the shares (K,) that some images have of the losses."""
    with arithmetic(training):
        predictions = training.net(images)
    if not isinstance(predictions, Mapping) or not training.tasks.keys() <= predictions.keys():
        found = ", ".join(map(str, predictions)) if isinstance(predictions, Mapping) else type(predictions).__name__
        raise ValueError(
            f"`network` must return {{task: output}} in training mode as in evaluation mode, got {found}. "
            "Give what only the training needs to a task of yours, or leave it out."
        )
    return _shares(training, predictions, known)


def _in_parts(training: Training, net: MultiTaskNet, batch: Batch) -> tuple[Cut, dict[str, Tensor]]:
    parts, names, size = training.spec.accumulate, list(training.tasks), batch.images.shape[-2:]
    seam = Seam(net)
    with arithmetic(training):
        features = [_again(training, seam.features, part) for part in batch.images.tensor_split(parts)]
        cut = training.balancer.cut(torch.cat(features) if parts > 1 else features[0])
    views = [cut.views[name].tensor_split(parts) for name in names]
    shares = [
        _again(training, partial(_losses, training, seam, known, size), *seen)
        for known, seen in zip(_known(training, batch), zip(*views, strict=True), strict=True)
    ]
    losses = whole_batch(training.ranks, torch.stack(shares).sum(0))
    return cut, dict(zip(names, losses.unbind(), strict=True))


def batch_counts(training: Training, batch: Batch) -> Sequence[Tensor]:
    """Return what each task's loss divides by, over all slices of the batch."""
    own = [task.counts(batch.targets[name]) for name, task in training.tasks.items()]
    return torch.split(training.ranks.sum_(torch.cat(own)), [len(counts) for counts in own])


def _losses(training: Training, seam: Seam, known: _Known, size: torch.Size, *views: Tensor) -> Tensor:
    """Return the shares (K,) that some images have of the losses, from what the heads read."""
    with arithmetic(training):
        predictions = seam.read(dict(zip(training.tasks, views, strict=True)), size)
    return _shares(training, predictions, known)


def _shares(training: Training, predictions: Mapping[str, Tensor], known: _Known) -> Tensor:
    """Return the shares (K,) of what is minimised: of the losses, and of the distances from a teacher."""
    shares = loss_shares(training, predictions, known.targets, known.counts)
    if training.teacher is not None:
        alone = dict(zip(training.tasks, shares.unbind(), strict=True))
        return torch.stack(list(training.teacher.mixed(alone, predictions, known.wanted, known.share).values()))
    return shares


def loss_shares(
    training: Training, predictions: Mapping[str, Tensor], targets: Sequence[Tensor], counts: Sequence[Tensor]
) -> Tensor:
    """Return the shares (K,) that some images have of the losses of the batch whose `counts` these are."""
    shares = [
        task.loss(predictions[name].float(), target, counted)
        for (name, task), target, counted in zip(training.tasks.items(), targets, counts, strict=True)
    ]
    return torch.stack(shares)


def arithmetic(training: Training) -> AbstractContextManager[object]:
    """Return what the forward pass computes in: bfloat16 where the spec asks for it."""
    return torch.autocast(training.device.type, torch.bfloat16, enabled=training.spec.bf16)


def _again(training: Training, function: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """Return function(*given), computed again when the gradient comes back if the batch goes through in parts."""
    if training.spec.accumulate == 1:
        return function(*given)
    result: Tensor = checkpoint(
        function, *given, use_reentrant=False, context_fn=lambda: (nullcontext(), _StatisticsAside(training.net))
    )
    return result


class _StatisticsAside:
    """Within it, batch norms move copies of their running statistics: the pass is one that they have seen already.

    It can be entered again, for each backward that goes through the same pass.
    """

    def __init__(self, net: nn.Module) -> None:
        norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
        self._known = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]

    def __enter__(self) -> None:
        for norm, name, buffer in self._known:
            setattr(norm, name, buffer.clone())

    def __exit__(self, *error: object) -> None:
        for norm, name, buffer in self._known:
            setattr(norm, name, buffer)


def whole_batch(ranks: Ranks, parts: Tensor) -> Tensor:
    """Return the sum of `parts` over the processes, differentiable with respect to those of this one.

    Its value is that of the whole batch, so that whatever weighs tasks by their losses weighs them alike everywhere.
    Its gradient is that of the own slice: gradients are summed over the processes once, at the end of the step.
    """
    if ranks.count == 1:
        return parts
    apply: Callable[..., Tensor] = _Whole.apply  # torch leaves it untyped
    return apply(parts, ranks)


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: Tensor, ranks: Ranks) -> Tensor:
        return ranks.sum_(parts.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
