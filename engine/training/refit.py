"""Training goes on after a removal, without the penalty: `for record in refit(...)`.

The penalty found the support and shrank what it left; the refit takes the shrinkage back (the relaxed lasso,
Meinshausen 2007) and lets what stayed make up for what went. Four decisions:

- What is exactly zero in a weight that survived (an input that a layer ignores, say) stays zero: the support is what
  was certified, and the zeros say which task uses what.
- The run's moments may be taken along (`engine.pruning.transfer`); in most of a few short trials that did a little
  better than a fresh optimiser.
- The rate starts at that of the training and falls as it did (Renda, Frankle & Carbin 2020, arXiv 2003.02389: rewinding
  the rate does better than fine-tuning at a low one).
- The weights after the last epoch are kept, not those of the best: the split that would choose it is the one that
  judges, and at the end of the cosine the last epoch is hardly ever worse.

The task losses are summed with fixed weights: a smaller model need not have a trunk any more at which gradients could
be compared. The network before the removal may be imitated as well (`engine.training.distillation`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.engine.specs.train import OptimiserSpec
from winnow.engine.tasks.surroundings import THEIRS, require_settings, settings_now
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batch, Batches
from winnow.engine.training.distillation import Distillation
from winnow.engine.training.divergence import finite, refuse_diverged
from winnow.engine.training.evaluate import labelled, validated
from winnow.engine.training.loop import EpochDone
from winnow.engine.training.optimisers import build_optimizer, set_rate


@dataclass(frozen=True)
class Refit:
    """How long, how fast, and whom to imitate.

    Epochs, optimiser, fixed weights of the task losses (none named: 1 each), seed, flips, arithmetic; a teacher.

    Raises:
        ValueError: no epochs, or a weight below 0.

    """

    epochs: int
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    weights: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    flips: bool = True
    bf16: bool = False
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"`epochs` must be at least 1, got {self.epochs}.")
        if negative := {task: weight for task, weight in self.weights.items() if not weight >= 0}:
            raise ValueError(f"`weights` must be at least 0, got {negative}.")


@dataclass(frozen=True)
class RefitStep:
    """One step of a refit: the loss of every task before it."""

    epoch: int
    step: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Split:
    """The images to refit on and those to judge by."""

    training: Batches
    validation: Batches


def refit(
    model: nn.Module,
    tasks: Mapping[str, Task],
    split: Split,
    settings: Refit,
    optimizer: Optimizer | None = None,
    resume: Callable[[], int] = int,
) -> Iterator[RefitStep | EpochDone]:
    """Train a model in place without penalty; yield a record after every step and every epoch.

    Args:
        model: forward returns {task: prediction} for the tasks at least; on the device of the batches.
        tasks: those that count.
        split: images to train on and to validate on.
        settings: epochs, optimiser, weights, seed.
        optimizer: one that goes on, from `engine.pruning.transfer`; its rate is set by the settings. None: a fresh one.
        resume: puts model and optimiser where an earlier refit of the same model was; returns its epochs, 0 for none.

    Raises:
        NonFiniteLossError: a loss or a weight became NaN or infinite; the message names epoch, step and task.
        ValueError: weights for tasks that are not there; a model or task that changes torch's settings, or seeds it.

    """
    if unknown := [task for task in settings.weights if task not in tasks]:
        raise ValueError(f"`weights` must name {', '.join(tasks)}, got {', '.join(unknown)}.")
    optimizer = build_optimizer(settings.optimiser, model.named_parameters()) if optimizer is None else optimizer
    zeros = _zeros(model)
    done = resume()  # after it was seen which weights are zero
    known = settings_now(torch.initial_seed())
    step, total = done * split.training.steps, settings.epochs * split.training.steps
    for epoch in range(done, settings.epochs):
        model.train()
        for batch in split.training.shuffled(settings.seed, epoch, settings.flips):
            set_rate(optimizer, settings.optimiser, step / total)
            losses, objective = _losses(model, tasks, batch, settings)
            require_settings(known, THEIRS)
            values = finite(losses, f"epoch {epoch + 1} of the refit, step {step + 1}")
            optimizer.zero_grad()
            objective.backward()  # type: ignore[no-untyped-call]
            _hold(zeros)
            optimizer.step()
            _put_back(zeros)
            step += 1
            yield RefitStep(epoch + 1, step, values)
        metrics = validated(model, tasks, split.validation)
        judged = {name: metrics[name] for name, task in tasks.items() if labelled(task, split.validation, name).any()}
        refuse_diverged(model, judged, f"epoch {epoch + 1} of the refit, step {step}")
        yield EpochDone(epoch + 1, step, metrics)


def _losses(
    model: nn.Module, tasks: Mapping[str, Task], batch: Batch, settings: Refit
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the loss of each task, and what is minimised."""
    teacher = settings.distillation
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=settings.bf16):
        seen = (model(batch.images), None) if teacher is None else teacher.pass_through(model, batch.images)
        imitated = None if teacher is None else teacher.loss(seen, batch.images, settings.weights)
    losses = {name: task.loss(seen[0][name].float(), batch.targets[name]) for name, task in tasks.items()}
    objective = torch.stack([settings.weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
    if teacher is None or imitated is None:
        return losses, objective
    return losses, (1 - teacher.weight) * objective + teacher.weight * imitated


def _zeros(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Return the weights with exact zeros, and where these are; a bias of zero is only one that starts there."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    return [(parameter, zero) for parameter in matrices if (zero := parameter.detach() == 0).any()]


def _hold(zeros: list[tuple[nn.Parameter, Tensor]]) -> None:
    """Take the gradient from what stays zero."""
    for parameter, zero in zeros:
        if parameter.grad is not None:
            parameter.grad.masked_fill_(zero, 0.0)


@torch.no_grad()
def _put_back(zeros: list[tuple[nn.Parameter, Tensor]]) -> None:
    """Set to zero again what stays zero: without a gradient, the moments of the training before would move it."""
    for parameter, zero in zeros:
        parameter.masked_fill_(zero, 0.0)
