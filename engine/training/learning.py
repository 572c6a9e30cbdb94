"""The strength is learned while training: the loss and its gradient on held-out images, every few steps.

The held-out images are a seeded part of the training images (`Batches.parted`). No step is taken on them, and they are
not those of validation, which choose the epoch. They come in batches of the run's own size, in an order of their own,
without flips, through the network in training mode; its running statistics stay. The network then has the mean of its
weights over the horizon (`engine.training.averaging`), without what has died. The loss is the sum of the tasks' losses
on labels, also where a teacher is imitated, with the weights that the balancing gave them in the step before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.engine.graph.modes import statistics_kept
from winnow.engine.sparsity.learned import Learned
from winnow.engine.training.averaging import WeightMeans
from winnow.engine.training.batches import Batch, Batches
from winnow.engine.training.distributed.batch_norm import norms_over_all
from winnow.engine.training.divergence import finite
from winnow.engine.training.forward import arithmetic, batch_counts, loss_shares
from winnow.engine.training.state import Training


def learn_strength(training: Training, weights: Tensor, where: str) -> None:
    """Move a strength that is learned, if its time has come; `weights` (K,) are those of the tasks.

    Raises:
        NonFiniteLossError: a loss on held-out images is no number; the message says `where`.

    """
    control, held = training.controller, training.held_out
    if not isinstance(control, Learned) or held is None or training.proximal.trace is None:
        return
    means = training.means = training.means or WeightMeans(control.horizon)
    means.follow(training.net, training.step)
    if not control.due(training.step):
        return
    batch, proximal = _next_batch(training, held, control.every), training.proximal
    with norms_over_all(training.net, training.ranks), statistics_kept(training.net), means.in_place(training.net):
        for bank, norms in zip(proximal.banks, proximal.norms, strict=True):
            if bank.moves:
                bank.scale_((norms > 0).to(bank.present.device, bank.kind_of_vectors))  # what has died is dead
        found = measured_on(training, batch, weights, held.images, where)
        derivatives = training.proximal.trace.derivatives(proximal.banks, found.gradients)
    pulls = torch.stack([own.double().cpu() for own in derivatives]).tolist()
    control.take(pulls, found.losses, weights.tolist(), found.error)


def _next_batch(training: Training, held: Batches, every: int) -> Batch:
    """Return the batch of this step: pass after pass over the held-out images."""
    number, place = divmod(training.step // every, held.steps)
    return next(held.shuffled(training.spec.seed, number, False, place, training.ranks))


@dataclass(frozen=True)
class Measured:
    """The weighted loss on a batch: its gradient by parameter, the tasks' losses, the standard error of a mean."""

    gradients: dict[Tensor, Tensor]
    losses: list[float]
    error: float


def measured_on(training: Training, batch: Batch, weights: Tensor, images: int, where: str) -> Measured:
    """Return what a batch says of the weighted loss; the standard error is that of a mean over so many `images`."""
    parts, names = training.spec.accumulate, list(training.tasks)
    counts, weights = batch_counts(training, batch), weights.to(training.device, torch.float32)
    own = [parameter for bank in training.proximal.banks for parameter in bank.parameters]
    parameters = [parameter for parameter in dict.fromkeys(own) if parameter.requires_grad]
    total = [torch.zeros_like(parameter) for parameter in parameters]
    losses, singles = torch.zeros(len(names), device=training.device), []
    targets = [batch.targets[name].tensor_split(parts) for name in names]
    for part, wanted in zip(batch.images.tensor_split(parts), zip(*targets, strict=True), strict=True):
        shares, each = _part(training, part, wanted, counts)
        found = torch.autograd.grad((shares * weights).sum(), parameters, allow_unused=True)
        total = [old if new is None else old + new for old, new in zip(total, found, strict=True)]
        losses = losses + shares.detach()
        singles.append(each @ weights)
    losses = training.ranks.sum_(losses)
    values = finite(dict(zip(names, losses, strict=True)), f"{where}, on held-out images")
    gradients: dict[Tensor, Tensor] = dict(zip(parameters, _summed(training, total), strict=True))
    return Measured(gradients, list(values.values()), _standard_error(training, torch.cat(singles), images))


def _part(
    training: Training, images: Tensor, targets: Sequence[Tensor], counts: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the shares (K,) that some images have of the batch's losses, and those of each image alone, (B, K)."""
    with arithmetic(training):
        predictions = training.net(images)
    shares = loss_shares(training, predictions, targets, counts)
    with torch.no_grad():
        each = [
            loss_shares(
                training,
                {name: made[place : place + 1] for name, made in predictions.items()},
                [target[place : place + 1] for target in targets],
                counts,
            )
            for place in range(len(images))
        ]
    return shares, torch.stack(each)


def _summed(training: Training, gradients: list[Tensor]) -> list[Tensor]:
    """Return the sums over the processes, all in one call."""
    if training.ranks.count == 1 or not gradients:
        return gradients
    flat = training.ranks.sum_(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    return [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]


def _standard_error(training: Training, singles: Tensor, images: int) -> float:
    """Return the standard error of the loss over `images` images, from each image's share of a batch's loss."""
    wide = singles.double()
    sums = torch.stack([wide.new_tensor(len(wide)), wide.sum(), wide.square().sum()])
    count, first, second = training.ranks.sum_(sums).tolist()
    deviation = max(second - first**2 / count, 0.0) / max(count - 1, 1)  # of a share, which is an image's loss ÷ count
    return float(count * (deviation / images) ** 0.5)
