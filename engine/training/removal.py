"""Removing while training: what is exactly zero and needed by nobody leaves the network, and training goes on.

The smaller network trains as the dense one would with every entry that went held at zero, moments included. So a
removal is a freeze of what it takes: a zero group under the penalty may revive, a removed one does not. Zeros that
cannot go (a channel that another reader still uses) stay under the penalty, and may revive.

What goes must be the same in training mode and in evaluation mode. A channel that all its readers ignore has no effect
in either. A zero filter under a batch norm with γ = β = 0 is zero in both. One with another γ or β is a constant: β in
training mode, β − γμ/σ in evaluation mode until the running mean has settled; such a channel stays. The certificate
compares both networks in evaluation mode; `remove` compares them in training mode too, in float64 on real images.

A channel that is idle goes whole, and with it what still writes it: groups that lived for nothing count as zero from
then on, so that a target may be passed by as many.

A removal takes as long as several steps: the network is traced, and the smaller one is compared with it. So one that is
due takes place only when it shortens what follows, by a share of the parameters or of the MACs (`WORTH`). What is left
for later stays zero, as without a removal, unless it revives.

Two things are the smaller network's own: dropout draws fewer random numbers where channels under it went, and task
gradients compared at the trunk's parameters (`gradients = "parameters"`) are those of the parameters that are left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.engine.graph.containers import flatten
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.modes import statistics_kept, undisturbed
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.tables import savings
from winnow.engine.measure.counts import layer_macs
from winnow.engine.pruning import Certificate, NotExact, compact, transfer
from winnow.engine.pruning import optimiser as moving
from winnow.engine.pruning.kept import composed, widened
from winnow.engine.pruning.precision import in_type, run_in_type
from winnow.engine.sparsity.groups.remaining import Remaining, Smaller, remaining
from winnow.engine.training.batches import Batches
from winnow.engine.training.state import Training

IMAGES = 4  # on which both networks are compared in training mode
WORTH = 0.05  # the share of the parameters or of the MACs that is to go before a removal begins
BOUND = 1e-6  # the largest relative error there, in float64: batch norms divide by deviations that may be small


@dataclass(frozen=True)
class Size:
    """How large a network is: parameters, and multiply-accumulates of one image."""

    parameters: int
    macs: float


@dataclass(frozen=True)
class Removed:
    """One removal: the network before and after, and the proof that both are the same."""

    epoch: int
    step: int
    before: Size
    after: Size
    certificate: Certificate


def due(training: Training, steps: int) -> bool:
    """Whether a removal comes before the next step, with `steps` of them an epoch: after every n-th epoch, once."""
    every = training.spec.penalty.removal
    epoch, done = divmod(training.step, steps)
    return every > 0 and done == 0 and epoch > 0 and epoch % every == 0 and training.removal != training.step


def remove(training: Training, batches: Batches) -> Removed | None:
    """Take out of the network what is exactly zero and needed by nobody; None where that is little or nothing.

    Raises:
        NotExact: the smaller network is another one, in evaluation or in training mode; nothing was changed.
        NotTraceable: the network's channels cannot be followed.
        TypeError: the network would need another program, and would be no module of its class any more.

    """
    training.removal = training.step
    example = batches.example()
    before = size(training.net, example)
    if not _worth(training, before):
        return None
    found = compact(training.net, example, gather="never", training=True, keep_modules=True)
    if not any(cut.stays for cut in found.cuts):
        return None
    if type(found.model) is not type(training.net):
        raise TypeError(
            "`net` must be able to lose channels as it is, got a program that has to change with them. Train without "
            "--removal; `winnow prune` removes them at the end."
        )
    _check(training.net, found.model, next(batches.in_order()).images[:IMAGES])
    follow(training, found)
    epoch = training.step // batches.steps
    return Removed(epoch, training.step, before, size(training.net, example), found.certificate)


def _worth(training: Training, now: Size) -> bool:
    """Whether enough of the present network can go, by the weights as they are in the dense one."""
    whole = savings(Liveness(training.dense_graph(), training=True)).iloc[-1]
    parameters = whole["parameters"] - whole["removable_parameters"]
    macs = whole["macs"] - whole["removable_macs"]
    return bool(parameters <= (1 - WORTH) * now.parameters or macs <= (1 - WORTH) * now.macs)


def follow(training: Training, smaller: moving.SmallerOptimiser) -> None:
    """Go on with a smaller copy of the network: optimiser, groups and what is known of them are cut as it was."""
    if type(smaller.model) is not type(training.net):
        raise TypeError(f"`smaller` must hold a {type(training.net).__name__}, got {type(smaller.model).__name__}.")
    proximal = training.proximal
    left = _left(training, smaller)
    proximal.follow(transfer(proximal.optimizer, smaller), left)
    for parameter in training.net.parameters():
        parameter.grad = None
    training.stays = composed(training.stays, {cut.name: cut.stays for cut in smaller.cuts if cut.stays})
    training.net = smaller.model


def regrow(training: Training) -> None:
    """Go back to the dense network, with zeros where something was removed, in the optimiser's moments too."""
    dense, small = training.dense_graph().model, training.net
    if not training.stays:
        return
    twins: dict[Tensor, tuple[nn.Parameter, Mapping[int, Labels]]] = {
        own: (parameter, training.stays.get(name, {}))
        for (name, own), parameter in zip(small.named_parameters(), dense.parameters(), strict=True)
    }
    training.proximal.regrow(_regrown(training.proximal.optimizer, twins))
    training.net, training.stays = dense, {}


def _regrown(optimizer: Optimizer, twins: Mapping[Tensor, tuple[nn.Parameter, Mapping[int, Labels]]]) -> Optimizer:
    """Return the optimiser of the dense parameters, {smaller: (dense, entries that are left)}; others stay."""
    kind: Any = type(optimizer)
    groups = [
        {**group, "params": [twins[own][0] if own in twins else own for own in group["params"]]}
        for group in optimizer.param_groups
    ]
    grown: Optimizer = kind(groups)
    for own, state in optimizer.state.items():
        dense, stays = twins.get(own, (own, {}))
        grown.state[dense] = {
            name: widened(value, dense.shape, stays) if isinstance(value, Tensor) and value.dim() else value
            for name, value in state.items()
        }
    return grown


def _left(training: Training, smaller: moving.SmallerOptimiser) -> list[Remaining]:
    names = {cut.name: cut for cut in smaller.cuts}
    parameters = {
        own: Smaller(cut.after, cut.stays)
        for name, own in training.net.named_parameters()
        if isinstance((cut := names[name]).after, nn.Parameter)
    }
    found = (remaining(place, bank, parameters) for place, bank in enumerate(training.proximal.banks))
    return [left for left in found if left is not None]


def size(net: nn.Module, example: Tensor) -> Size:
    """Return the size of a network for images like `example`."""
    return Size(sum(parameter.numel() for parameter in net.parameters()), sum(layer_macs(net, example).values()))


@torch.no_grad()
def _check(net: nn.Module, small: nn.Module, images: Tensor) -> None:
    """Raise if two networks differ where batch norms use the batch's own statistics."""
    expected, found = (flatten(_in_training(model, images)) for model in (net, small))
    for (_, one), (_, two) in zip(expected, found, strict=True):
        error = float((one - two).abs().max() / one.abs().max().clamp(min=1e-30))
        if not error <= BOUND:
            raise NotExact(
                f"`net` must give the same outputs in training mode when zeros are removed, within {BOUND:g} of their "
                f"scale, got {error:.2g}."
            )


def _in_training(model: nn.Module, images: Tensor) -> object:
    """Run a model in float64, its batch norms in training mode, everything else as in evaluation."""
    with undisturbed(model), statistics_kept(model):
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
        return run_in_type(model, torch.float64, (in_type(images, torch.float64),), {})
