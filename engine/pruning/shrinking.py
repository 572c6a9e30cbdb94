"""A copy of a model with smaller parameters: what stays of every axis is copied, and the dense weights never are.

Only tensors shrink here. The sizes that modules and programs hold besides are put right by `engine.pruning.sizes`.
"""

import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from winnow.engine.graph.examples import is_channels_last
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.partition import Labels
from winnow.engine.pruning.arranging import Arranged
from winnow.engine.pruning.precision import plain_tensors, twin_of
from winnow.engine.pruning.readers import Reading
from winnow.engine.pruning.selecting import read_slice, select_units
from winnow.engine.pruning.sizes import fit_norms


@dataclass(eq=False)
class CutWeight:
    """What became of one parameter or buffer: the entries that stay, by axis; all of an axis that is not listed.

    `origin` gives the tensor as it was, for as long as the model lives. Where a layer took over constants, `after` has
    a last column more than stay, or is a bias that was not there before (no origin). `exact` are its values in
    float64, which its own type rounds.
    """

    name: str
    shape: tuple[int, ...]
    origin: Callable[[], Tensor | None]
    after: Tensor
    stays: Mapping[int, Labels] = field(default_factory=dict)
    exact: Tensor | None = None


def shrunk(
    model: nn.Module, liveness: Liveness, readings: Mapping[str, Reading], arranged: Arranged | None = None
) -> tuple[nn.Module, dict[str, CutWeight]]:
    """Return a copy of the model without the channels that go, and how every tensor was cut, by its name.

    With `arranged`, what stays is in its order, and layers read its slices.
    """
    stays: dict[str, dict[int, Labels]] = defaultdict(dict)
    for site in liveness.graph.sites:
        kept = liveness.kept[site.channels]
        if not kept.all():
            stays[site.parameter][site.axis] = np.flatnonzero(kept)
    for name, axes in arranged.stays.items() if arranged else ():
        stays[name] |= axes
    for reading in readings.values():
        stays[reading.product.weight][0 if reading.product.transposed else 1] = reading.stays
    twin, cuts = copied(model, stays)
    for layer, reading in readings.items():
        _read(model, twin.get_submodule(layer), reading, liveness, cuts)
    for layer, start in (arranged.starts if arranged else {}).items():
        read_slice(twin.get_submodule(layer), start)
    return twin, cuts


def copied(model: nn.Module, stays: Mapping[str, Mapping[int, Labels]]) -> tuple[nn.Module, dict[str, CutWeight]]:
    """Return a copy of the model with the entries that stay, {tensor: {axis: entries}}, and how every tensor was cut.

    Only the tensors are cut: the sizes that modules hold are those of the model, but for those of group norms.
    """
    tensors: dict[str, Tensor] = dict(model.named_parameters()) | dict(model.named_buffers())
    cuts = {name: _cut(name, tensor, stays.get(name, {})) for name, tensor in tensors.items()}
    memo = {id(tensor): cuts[name].after for name, tensor in tensors.items()}
    for kept in plain_tensors(model):
        memo.setdefault(id(kept), kept.detach().clone())
    twin = twin_of(model, memo)
    fit_norms(twin, stays)
    return twin, cuts


def rooted(cuts: Iterable[CutWeight], model: nn.Module) -> None:
    """Let cuts of a copy of a model say that they come from the tensors of the same names in the model itself."""
    tensors: dict[str, Tensor] = dict(model.named_parameters()) | dict(model.named_buffers())
    for cut in cuts:
        if cut.name in tensors and cut.origin() is not None:
            cut.origin = weakref.ref(tensors[cut.name])


def _read(model: nn.Module, layer: Any, reading: Reading, liveness: Liveness, cuts: dict[str, CutWeight]) -> None:
    """Make a layer read what it is to read: its constants in the bias or in a last column, its channels gathered."""
    product = reading.product
    if len(reading.folded):
        summed = _summed(model, reading, liveness)
        if reading.ones:
            cut = cuts[product.weight]
            _replace(layer, "weight", cut, torch.cat([cut.after.detach().double(), summed.unsqueeze(1)], 1))
        else:
            name = f"{product.layer}.bias"
            new = CutWeight(name, (), lambda: None, layer.weight.detach())
            before = 0.0 if layer.bias is None else layer.bias.detach().double()
            _replace(layer, "bias", cuts.setdefault(name, new), summed.reshape(len(summed), -1).sum(1) + before)
    index = None if reading.index is None else torch.from_numpy(reading.index)
    if index is not None or reading.ones:
        select_units(layer, None if index is None else index.to(layer.weight.device), reading.ones, product.axis)


def _summed(model: nn.Module, reading: Reading, liveness: Liveness) -> Tensor:
    """Return Σ constant · kernel over the columns that a layer takes over, (rows, kernel…), in float64."""
    weight = model.get_parameter(reading.product.weight).detach()
    rows = torch.from_numpy(np.flatnonzero(liveness.kept[reading.product.rows])).to(weight.device)
    columns = torch.from_numpy(reading.folded).to(weight.device)
    kernels = weight.index_select(1, columns).index_select(0, rows).double()
    summed: Tensor = torch.tensordot(kernels, torch.from_numpy(reading.constants).to(weight.device), dims=([1], [0]))
    return summed


def _replace(layer: Any, name: str, cut: CutWeight, exact: Tensor) -> None:
    """Give a layer a parameter of new values."""
    parameter = nn.Parameter(exact.to(layer.weight.dtype), layer.weight.requires_grad)
    cut.after, cut.exact = parameter, exact
    setattr(layer, name, parameter)


def _cut(name: str, tensor: Tensor, stays: Mapping[int, Labels]) -> CutWeight:
    found = tensor.detach()
    for axis, entries in stays.items():
        found = found.index_select(axis, torch.from_numpy(entries).to(found.device))
    if is_channels_last(tensor):
        found = found.contiguous(memory_format=torch.channels_last)
    found = found if stays else found.clone()
    after = nn.Parameter(found, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else found
    return CutWeight(name, tuple(tensor.shape), weakref.ref(tensor), after, stays)
