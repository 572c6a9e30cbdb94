"""The plainest compaction: keep what lives along every axis that the graph knows, for nets without sizes in code."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from winnow.engine.graph.liveness import Liveness
from winnow.engine.pruning.sizes import fit, fit_norms


def removed(net: nn.Module, liveness: Liveness) -> nn.Module:
    """Return a copy of the net without the channels that nothing needs."""
    twin = copy.deepcopy(net)
    tensors = dict(twin.named_parameters()) | dict(twin.named_buffers())
    new = {id(tensor): _kept(name, tensor, liveness) for name, tensor in tensors.items()}
    for module in twin.modules():
        for held in (module._parameters, module._buffers):
            held.update({name: new[id(tensor)] for name, tensor in held.items() if tensor is not None})
    for name, module in twin.named_modules():
        for use in liveness.graph.depthwise:
            if use.layer == name:
                module.groups = len(module.weight) // (1 if use.transposed else use.multiplier)
        if isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d):
            module.num_features = len(module.weight)
        if isinstance(module, nn.MultiheadAttention | nn.LayerNorm | nn.RMSNorm | nn.RNNBase | nn.RNNCellBase):
            fit(module)
    kept = {site.parameter: {site.axis: np.flatnonzero(liveness.kept[site.channels])} for site in liveness.graph.sites}
    fit_norms(twin, {name: axes for name, axes in kept.items() if name in dict(net.named_parameters())})
    return twin


def _kept(name: str, tensor: Tensor, liveness: Liveness) -> Tensor:
    found = tensor.detach()
    for site in liveness.graph.sites:
        if site.parameter == name:
            found = found.index_select(site.axis, torch.from_numpy(np.flatnonzero(liveness.kept[site.channels])))
    return nn.Parameter(found) if isinstance(tensor, nn.Parameter) else found
