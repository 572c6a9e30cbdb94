"""The one training loop, read top to bottom: `for record in train(...)`.

It yields a record after every step and every epoch and knows nothing of files, pages or clocks. Whoever consumes it
decides what to store, and may change `training.controller.base` or leave between two records; `training` then holds
everything that a later call needs to go on as if nothing had happened.

Where the spec asks for it, what is zero is removed between two epochs (engine.training.removal), after the record of
the epoch: whoever stores a checkpoint on it has the network before the removal.

One step: one pass through the trunk (engine.training.forward), the task losses balanced (engine.training.balancing),
the optimiser, the prox. The learning rate is a pure function of the step.

Several processes may train one network (`training.ranks`): each passes its slice of every batch, gradients are summed
once a step, and the weights move alike everywhere. What a consumer changes or asks of rank 0 holds for all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from winnow.engine.graph.modes import statistics_kept
from winnow.engine.graph.sharing import shared_names
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import weight_macs
from winnow.engine.networks.multitask import WithHeads
from winnow.engine.networks.own import refuse_outputs
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.groups import scale_free_weights
from winnow.engine.sparsity.proximal import Kept, Proximal
from winnow.engine.sparsity.strength import Targeted
from winnow.engine.specs.train import TrainSpec
from winnow.engine.tasks.surroundings import THEIRS, require_settings, settings_now
from winnow.engine.tasks.task import Task
from winnow.engine.training.balancing.balancer import Balance
from winnow.engine.training.balancing.build import build_balancer
from winnow.engine.training.batches import Batch, Batches
from winnow.engine.training.distributed.alike import refuse_differing, seed_apart
from winnow.engine.training.distributed.batch_norm import norms_over_all
from winnow.engine.training.distributed.orders import go_on
from winnow.engine.training.distributed.ranks import ALONE, Ranks
from winnow.engine.training.divergence import NonFiniteLossError as NonFiniteLossError
from winnow.engine.training.divergence import finite, refuse_diverged, refuse_no_gradient
from winnow.engine.training.evaluate import labelled, validated
from winnow.engine.training.forward import forward
from winnow.engine.training.learning import learn_strength
from winnow.engine.training.optimisers import build_optimizer, set_rate
from winnow.engine.training.removal import Removed, due, remove
from winnow.engine.training.setup import build_controller, build_groups, build_penalty
from winnow.engine.training.state import Training as Training


@dataclass(frozen=True)
class StepDone:
    """One step: the loss of every task before it, the strength it was taken with, and how tasks were weighed."""

    epoch: int
    step: int
    losses: dict[str, float]
    strength: float
    balance: Balance


@dataclass(frozen=True)
class EpochDone:
    """One pass over the training images, validated: {task: {metric or loss: value}}."""

    epoch: int
    step: int
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


def begin(
    spec: TrainSpec,
    net: nn.Module,
    tasks: Mapping[str, Task],
    batches: Batches,
    ranks: Ranks = ALONE,
    held_out: Batches | None = None,
) -> Training:
    """Return the start of a training: the network on the batches' device, optimiser, prox and strength around it.

    `held_out` are the images that a strength is learned from (`Batches.parted`).

    Raises:
        ValueError: the network's outputs are not those of the tasks, its trunk cannot be told, or the strength is to be
            learned and nothing is held out.
        NotTraceable: its channels cannot be followed.

    """
    if spec.penalty.learned != "no" and held_out is None:
        raise ValueError("`held_out` must be given where the strength is learned, got none. Use `Batches.parted`.")
    net = net.to(batches.device)
    refuse_outputs(net, tasks, batches.example())
    graph = trace(net, batches.example())
    named: tuple[str, ...] = getattr(spec.network, "trunk", ())
    groups = build_groups(spec.penalty, net, graph, batches.example(), named)
    kept = Kept(spec.penalty.floor, scale_free_weights(graph) if spec.penalty.normalisation == "aware" else ())
    balancer = build_balancer(spec.balancing, tuple(tasks)).to(batches.device)
    balancer.ranks = ranks
    optimizer = build_optimizer(spec.optimiser, net.named_parameters(), balancer.parameters())
    proximal = Proximal(optimizer, groups, build_penalty(spec.penalty), kept)
    counts = Counts(net, proximal.banks, weight_macs(net, batches.example()))
    controller = build_controller(spec, proximal, counts, batches.steps)
    shared = shared_names(graph, named)
    begun = Training(spec, net, tasks, graph, proximal, counts, controller, balancer, batches.device)
    begun.ranks, begun.shared, begun.held_out = ranks, shared, held_out
    return begun


@torch.no_grad()
def start_at_constants(training: Training, batches: Batches) -> None:
    """Set each head's last bias to the best constant, so that no step is spent on finding the mean.

    A network of the user's own keeps the weights that it was built with.

    Raises:
        ValueError: a task has no label in the training images.

    """
    for name, task in training.tasks.items():
        if not labelled(task, batches, name).any():
            raise ValueError(f"`tasks` must have labels in the training images, got none of {name}. Leave it out.")
        if isinstance(training.net, WithHeads):
            last: nn.Module = training.net.heads[name].out  # type: ignore[assignment]
            last.get_parameter("bias").copy_(task.constant(batches.target(name)))


def train(training: Training, batches: Batches, validation: Batches) -> Iterator[StepDone | EpochDone | Removed]:
    """Train from `training.step` to the end of the last epoch.

    Raises:
        NonFiniteLossError: a loss or a weight became NaN or infinite; the message names epoch, step and task.
        RanksDifferError: the processes that train together do not hold the same weights at the start or after an epoch.

    """
    spec, total = training.spec, training.spec.epochs * batches.steps
    planned = {change.step: change.strength for change in spec.strength_changes}
    aimed = {change.step: change.target for change in spec.target_changes}
    controller = training.controller
    _agree(training)
    while training.step < total:
        if due(training, batches.steps) and (removed := remove(training, batches)) is not None:
            yield removed
        epoch, done = divmod(training.step, batches.steps)
        training.net.train()
        if spec.optimiser.fresh_state and done == 0:
            training.proximal.optimizer.state.clear()
        for batch in batches.shuffled(spec.seed, epoch, spec.flips, done, training.ranks, spec.zoom):
            go_on(training.ranks, controller)
            controller.base = planned.get(training.step, controller.base)
            if isinstance(controller, Targeted):
                controller.percent = aimed.get(training.step, controller.percent)
            controller.before(training.step)
            set_rate(training.proximal.optimizer, spec.optimiser, training.step / total)
            strength = training.proximal.strength
            losses, balance = _step(training, batch, f"epoch {epoch + 1}, step {training.step + 1}")
            training.step += 1
            learn_strength(training, balance.weights, f"epoch {epoch + 1}, step {training.step}")
            if training.step % batches.steps == 0:
                training.balancer.end_epoch()  # before the record: a run stopped here has closed its epoch
            yield StepDone(epoch + 1, training.step, losses, strength, balance)
        _agree(training)
        known = settings_now(training.stream if training.ranks.leads else None)
        metrics = validate(training, validation)
        require_settings(known, THEIRS)
        judged = {
            name: metrics[name] for name, task in training.tasks.items() if labelled(task, validation, name).any()
        }
        refuse_diverged(training.net, judged, f"epoch {epoch + 1}, step {training.step}")
        yield EpochDone(epoch + 1, training.step, metrics)


def _agree(training: Training) -> None:
    """Go on if rank 0 does, with the weights that it has."""
    go_on(training.ranks, training.controller)
    refuse_differing(training.ranks, training.step, list(training.net.state_dict().values()))


def _step(training: Training, batch: Batch, where: str) -> tuple[dict[str, float], Balance]:
    """Move the weights once; return the losses before, and how they were weighed."""
    every, balancer = training.spec.balancing.record_every, training.balancer
    seed_apart(training.ranks, training.spec.seed, training.step)
    known = settings_now(training.stream if training.ranks.leads else None)
    with norms_over_all(training.net, training.ranks):
        cut, losses = forward(training, batch)
        require_settings(known, THEIRS)
        values = finite(losses, where)
        training.proximal.zero_grad()
        record = every > 0 and training.step % every == 0
        balance = balancer.backward(losses, cut, training.shared_parameters(), record)
        if training.step == 0:
            refuse_no_gradient(training.net)
        training.ranks.sum_gradients(training.net.parameters())
        training.proximal.step()
        if balancer.needs_losses_after_step:
            with torch.no_grad(), statistics_kept(training.net):
                balancer.after_step(forward(training, batch)[1])
    return values, balance


def validate(training: Training, batches: Batches) -> dict[str, dict[str, float]]:
    """Return the loss and the metrics of every task over a split, in eval mode."""
    return validated(training.net, training.tasks, batches, training.ranks)


@torch.inference_mode()
def constant_metrics(tasks: Mapping[str, Task], batches: Batches, validation: Batches) -> dict[str, dict[str, float]]:
    """Return the metrics on `validation` of the constant that suits the training targets best."""
    constants = {name: task.constant(batches.target(name)) for name, task in tasks.items()}
    meters = {name: task.meter() for name, task in tasks.items()}
    for batch in validation.in_order():
        for name, meter in meters.items():
            meter.update(
                _everywhere(constants[name], batch.targets[name].cpu(), tasks[name]), batch.targets[name].cpu()
            )
    return {name: meter.compute() for name, meter in meters.items()}


def _everywhere(constant: Tensor, target: Tensor, task: Task) -> Tensor:
    """Repeat (outputs,) for every image, and for every pixel where the task has pixels."""
    if not task.field.dense:
        return constant.expand(len(target), -1)
    return constant[None, :, None, None].expand(len(target), -1, *target.shape[1:3])
