"""The plainest compaction: keep what lives along every axis that the graph knows, for nets without sizes in code."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from engine.channels.liveness import Liveness


def removed(net: nn.Module, liveness: Liveness) -> nn.Module:
    """Return a copy of the net without the channels that nothing needs."""
    twin = copy.deepcopy(net)
    new: dict[int, Tensor] = {}
    holders = [(m, held, name) for m in twin.modules() for held in (m._parameters, m._buffers) for name in held]
    tensors = dict(twin.named_parameters()) | dict(twin.named_buffers())
    for name, tensor in tensors.items():
        found = tensor.detach()
        for site in liveness.graph.sites:
            if site.parameter == name:
                kept = torch.from_numpy(np.flatnonzero(liveness.kept[site.channels]))
                found = found.index_select(site.axis, kept)
        new[id(tensor)] = nn.Parameter(found) if isinstance(tensor, nn.Parameter) else found
    for _, held, name in holders:
        if held[name] is not None:
            held[name] = new[id(held[name])]
    for name, module in twin.named_modules():
        if any(use.layer == name for use in liveness.graph.depthwise):
            module.groups = len(module.weight)
        if isinstance(module, nn.InstanceNorm1d):
            module.num_features = len(module.weight)
    return twin
