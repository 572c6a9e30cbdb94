"""From a spec's penalty to what enforces it: groups, penalty, controller of the strength."""

from types import MappingProxyType

from torch import Tensor

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.groups import Group, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, Penalty, SparseGroupLasso
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.strength import Controller, Scheduled, Targeted
from winnow.engine.specs.train import PenaltySpec, TrainSpec

START = 0.1  # of the spec's strength: where λ starts when a target moves it
SCOPES = MappingProxyType({"trunk": ("trunk",), "heads": ("heads",), "both": ("trunk", "heads")})


def build_groups(spec: PenaltySpec, net: MultiTaskNet, graph: ChannelGraph, example: Tensor) -> list[Group]:
    """Return the groups of the wanted kind that lie in the wanted part of the network, named as in the whole of it.

    A coupled group lies where its channel is made; its readers may stand elsewhere.
    """
    if spec.groups == "input":
        found = input_groups(net)
    elif spec.groups == "output":
        found = output_groups(net, graph=graph)
    else:
        return coupled_groups(net, example, within=SCOPES[spec.scope], graph=graph)
    return [group for group in found if group.layer.partition(".")[0] in SCOPES[spec.scope]]


def build_penalty(spec: PenaltySpec) -> Penalty:
    """Return the penalty that the spec names, at its strength."""
    if spec.penalty == "sparse_group_lasso":
        return SparseGroupLasso(spec.strength, spec.weights, spec.mix)
    if spec.penalty == "group_mcp":
        return GroupMCP(spec.strength, spec.weights, spec.concavity)
    kind = L1 if spec.penalty == "l1" else GroupLasso
    return kind(spec.strength, spec.weights)


def build_controller(spec: TrainSpec, proximal: Proximal, counts: Counts, steps: int) -> Controller:
    """Return what sets the strength before each step, for `steps` of them an epoch."""
    penalty, refit_from = spec.penalty, refit_step(spec, steps)
    warm_up = penalty.warm_up * steps
    if penalty.target is None:
        return Scheduled(proximal, penalty.strength, warm_up, penalty.ramp * steps, refit_from)
    return Targeted(proximal, START * penalty.strength, counts, penalty.target_of, penalty.target, warm_up, refit_from)


def refit_step(spec: TrainSpec, steps: int) -> int:
    """Return the step from which on the support is held, for `steps` of them an epoch; the last one without refit."""
    total = spec.epochs * steps
    return total - round(spec.penalty.refit_share * total)


def settled_step(spec: TrainSpec, steps: int) -> int:
    """Return the step from which on the network is of the kind that was asked for: support found, strength reached."""
    if spec.penalty.refit_share > 0:
        return refit_step(spec, steps)
    return min(spec.penalty.warm_up + spec.penalty.ramp, spec.epochs - 1) * steps
