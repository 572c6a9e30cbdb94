"""Units silenced: all their weights at zero, in a copy. The model that they were chosen in is never touched."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from winnow.engine.pruning.precision import private
from winnow.engine.sparsity.groups import Bank, Group, banks


def silence(model: nn.Module, groups: Sequence[Group]) -> nn.Module:
    """Return a copy of the model in which the weights of the groups are exactly zero.

    The copy's `compact` form is the model without these channels, with the certificate that it is the same.

    Raises:
        ValueError: a group lies in another model.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> first, *_ = coupled_groups(net, torch.ones(1, 4))  # a hidden channel: what makes it, and what reads it
        >>> masked = silence(net, [first])
        >>> masked[2].weight[:, 0].count_nonzero().item()
        0
        >>> compact(masked, torch.ones(1, 4)).model[0]
        Linear(in_features=4, out_features=2, bias=True)

    """
    twin = private(model)
    for bank in moved_banks(groups, model, twin):
        bank.scale_((~bank.present).to(bank.parameters[0]))
    return twin


def moved_banks(groups: Sequence[Group], model: nn.Module, twin: nn.Module) -> list[Bank]:
    """Return the banks of groups of a model, in the parameters of its copy.

    Raises:
        ValueError: a group lies in another model.

    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters = dict(twin.named_parameters())
    moved: dict[int, Group] = {}
    found = []
    for group in groups:
        if id(group.members) not in moved:
            if lost := [axis for axis in group.members if id(axis.parameter) not in names]:
                raise ValueError(
                    f"`groups` must be groups of `model`, got one of another network in {group.layer}, of shape "
                    f"{tuple(lost[0].parameter.shape)}."
                )
            axes = (replace(axis, parameter=parameters[names[id(axis.parameter)]]) for axis in group.members)
            moved[id(group.members)] = replace(group, members=tuple(axes))
        found.append(replace(group, members=moved[id(group.members)].members))
    return banks(found) if found else []


@torch.no_grad()
def restore(model: nn.Module, twin: nn.Module) -> None:
    """Give a copy the parameters of its model again."""
    for parameter, original in zip(twin.parameters(), model.parameters(), strict=True):
        parameter.copy_(original)
