"""What a removal would leave if only some groups lived, foreseen many times a second: while a target is held.

A copy of the model stands for it that has one number in the place of each kernel: which channels stay depends on which
entries are zero, not on their values. Biases and norms that are zero in a fresh network count as if they had learned
something, since they will have.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.pruning.plan import Plan, planned
from winnow.engine.pruning.precision import plain_tensors, twin_of
from winnow.engine.pruning.readers import GatherMode
from winnow.engine.sparsity.groups import Bank


class Foreseen:
    """Says what `compact` would leave of a graph's model when only some groups of its banks live.

    `gather` as the plan takes it. The banks' parameters are the model's.

    Raises:
        ValueError: a bank of another network.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> found = banks(input_groups(net))
        >>> alive = [torch.ones(4, dtype=torch.bool), torch.tensor([True, False, True])]
        >>> int((~Foreseen(trace(net, torch.ones(1, 4)), found).plan(alive).liveness.kept).sum())  # nobody reads it
        1

    """

    def __init__(self, graph: ChannelGraph, banks: Sequence[Bank], gather: GatherMode = "never") -> None:
        self._banks, self._gather = list(banks), gather
        names = {id(parameter): name for name, parameter in graph.model.named_parameters()}
        if foreign := [bank.layer for bank in banks for axis in bank.all_members if id(axis.parameter) not in names]:
            raise ValueError(f"`banks` must be of the graph's model, got one of another network in {foreign[0]}.")
        self._names = names
        twin = _hollow(graph)
        self._graph = replace(graph, model=twin)
        self._parameters = dict(twin.named_parameters())
        self._whole = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    @torch.no_grad()
    def plan(self, alive: Sequence[Tensor]) -> Plan:
        """Return the plan of the removal when only the groups marked in `alive`, (channels,) per bank, live."""
        for name, parameter in self._parameters.items():
            parameter.copy_(self._whole[name])
        for bank, mask in zip(self._banks, alive, strict=True):
            stays = mask.cpu() | ~bank.present.cpu()
            for axis in bank.members if bank.moves and not stays.all() else ():
                view, spread = axis.spread(stays.float(), self._parameters[self._names[id(axis.parameter)]])
                view.mul_(spread)
        return planned(self._graph, None, self._gather)


@torch.no_grad()
def _hollow(graph: ChannelGraph) -> nn.Module:
    """Return a copy of the model, on the CPU, with ones and zeros for weights and one entry for each kernel."""
    kernels = {product.weight for product in graph.products} | {layer.weight for layer in graph.depthwise}
    kernels -= {site.parameter for site in graph.sites if site.axis > 1}
    memo = {id(kept): kept.detach().clone() for kept in plain_tensors(graph.model)}
    for name, parameter in graph.model.named_parameters():
        values = parameter.detach()
        if name in kernels and values.dim() > 2:
            values = (values != 0).flatten(2).any(2).float().reshape(*values.shape[:2], *[1] * (values.dim() - 2))
        elif values.dim() > 1:
            values = (values != 0).float()
        elif parameter.requires_grad:
            values = torch.where(values == 0, 1.0, values.float())
        memo[id(parameter)] = nn.Parameter(values.detach().float().cpu().clone(), requires_grad=False)
    return twin_of(graph.model, memo).cpu()
