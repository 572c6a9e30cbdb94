"""A copy of a model with smaller parameters: what stays of every axis is copied, and the dense weights never are.

Only tensors shrink here. The sizes that modules and programs hold besides are put right by `engine.pruning.sizes`.
"""

import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from engine.channels.liveness import Liveness
from engine.channels.partition import Labels


@dataclass(eq=False)
class Cut:
    """What became of one parameter or buffer: the entries that stay, by axis; all of an axis that is not listed."""

    name: str
    before: Tensor
    after: Tensor
    stays: Mapping[int, Labels] = field(default_factory=dict)


def shrunk(model: nn.Module, liveness: Liveness) -> tuple[nn.Module, dict[str, Cut]]:
    """Return a copy of the model without the channels that go, and how every tensor was cut, by its name."""
    stays: dict[str, dict[int, Labels]] = defaultdict(dict)
    for site in liveness.graph.sites:
        kept = liveness.kept[site.channels]
        if not kept.all():
            stays[site.parameter][site.axis] = np.flatnonzero(kept)
    tensors: dict[str, Tensor] = dict(model.named_parameters()) | dict(model.named_buffers())
    cuts = {name: _cut(name, tensor, stays[name]) for name, tensor in tensors.items()}
    memo: dict[int, object] = {id(cut.before): cut.after for cut in cuts.values()}
    return copy.deepcopy(model, memo), cuts


def _cut(name: str, tensor: Tensor, stays: Mapping[int, Labels]) -> Cut:
    found = tensor.detach()
    for axis, entries in stays.items():
        found = found.index_select(axis, torch.from_numpy(entries).to(found.device))
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous():
        found = found.contiguous(memory_format=torch.channels_last)
    found = found if stays else found.clone()
    after = nn.Parameter(found, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else found
    return Cut(name, tensor, after, stays)
