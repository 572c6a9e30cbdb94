"""The rule of all element-wise operations: what meets element by element is tied.

Three things can meet. Channels with channels: tied, label by label. Channels with a constant of the same extent: the
constant is a parameter whose entries are tied too, or the channels are fixed. Channels with a tensor of length 1
along them, such as a mask for all channels: every channel then needs that tensor, which is a mix and no tie.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx.node import map_aggregate

from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.grids import is_grid, tied_over
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.partition import FIXED, Labels
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.records import Join
from winnow.engine.graph.signature import RANDOM
from winnow.engine.graph.steps import ChosenStep, Halved, Opaque, Pointwise, Step, Zero

ABSORBING = ("mul", "imul", "multiply")


def pointwise(recording: Recording, operation: Operation) -> Carrier:
    """Any function of the elements at one place."""
    carriers = operation.carriers()
    labels = meet(recording, operation, carriers)
    result = recording.result(operation, labels)
    recording.steps.append(_step(operation, carriers, result))
    return result


def prelu(recording: Recording, operation: Operation) -> Carrier:
    """PReLU: one slope for all, or one per channel along dimension 1."""
    source = operation.carrier()
    module: Any = operation.module
    slope = module.weight if module is not None else operation.value(1, "weight")
    labels = source.labels
    if slope.numel() > 1:
        name = recording.name(slope)
        if name is None:
            raise operation.refusal("its slopes must be a plain parameter")
        axis = min(1, len(source.shape) - 1)
        channels = recording.along(source, axis)
        recording.site((operation.path, "norm"), name, 0, channels)
        labels = channels.reshape([-1 if place == axis else 1 for place in range(len(source.shape))])
    result = recording.result(operation, labels)
    recording.steps.append(Pointwise(result.index, (source.index,), _zero_or_unknown, False, labels.shape))
    return result


def _zero_or_unknown(constants: Sequence[Tensor]) -> Tensor:
    return torch.where(constants[0] == 0, 0.0, torch.nan)


def meet(recording: Recording, operation: Operation, carriers: list[Carrier]) -> Labels:
    """Tie what meets element by element; return the labels of the result."""
    dimensions = operation.result.dim()
    padded = [carrier.padded(dimensions) for carrier in carriers]
    guests = [_is_guest(i, padded) for i in range(len(padded))]
    hosts = [labels for (_, labels), guest in zip(padded, guests, strict=True) if not guest]
    if not hosts:
        if any(carrier.bears for carrier in carriers):
            raise operation.refusal("it spreads the channels of two tensors over one another, so keep them apart")
        return np.full((1,) * dimensions, FIXED)
    shape = np.broadcast_shapes(*(labels.shape for labels in hosts))
    for labels in hosts[1:]:
        recording.partition.tie(np.broadcast_to(hosts[0], shape), np.broadcast_to(labels, shape))
    met = np.array(np.broadcast_to(hosts[0], shape))
    if any(labels.size < met.size for labels in hosts):  # what was spread over positions may be the same at each
        met = squeezed(recording.partition.roots(met))
    met = _whole_for(recording, met, [shape for (shape, _), guest in zip(padded, guests, strict=True) if guest])
    if sum(carrier.bears and not guest for carrier, guest in zip(carriers, guests, strict=True)) > 1:
        recording.joins.append(Join(operation.place, met.ravel()))
    for (_, labels), guest in zip(padded, guests, strict=True):
        if guest:
            recording.mix(operation, "spreads one channel over many", [labels], met)
    return met


def _whole_for(recording: Recording, met: Labels, guests: Sequence[tuple[int, ...]]) -> Labels:
    """Make a grid whole along the dimensions in which a guest of several places is met."""
    places = {axis for shape in guests for axis, length in enumerate(shape) if length > 1}
    return tied_over(recording, met, tuple(places)) if is_grid(met) and places else met


def _is_guest(place: int, padded: Sequence[tuple[tuple[int, ...], Labels]]) -> bool:
    """Whether a tensor has length 1 along a dimension over which the channels of another lie."""
    shape = padded[place][0]
    return any(
        length == 1 and any(labels.shape[axis] > 1 for i, (_, labels) in enumerate(padded) if i != place)
        for axis, length in enumerate(shape)
    )


def indexed(recording: Recording, operation: Operation) -> Carrier:
    """index_add and index_copy: whole slices along `dim` go to other places; what lies across meets as in a sum."""
    target, axis = operation.carrier(), operation.value(1, "dim") % operation.result.dim()
    index = operation.carrier(2, "index")
    source = operation.carrier(3, "source")
    if len(source.shape) != len(target.shape) or {target.labels.shape[axis], source.labels.shape[axis]} != {1}:
        raise operation.refusal("moves channels to places that the values of an index give")
    labels = meet(recording, operation, [target, source])
    result = recording.result(operation, labels)
    recording.steps.append(Opaque(result.index, (target.index, source.index), False, labels.shape))
    if index.bears:
        recording.steps.append(ChosenStep(result.index, (index.index,)))
    return result


def gated(recording: Recording, operation: Operation) -> Carrier:
    """GLU: the first half times the sigmoid of the second, along one dimension."""
    source = operation.carrier()
    module: Any = operation.module
    axis = (module.dim if module is not None else operation.value(1, "dim", -1)) % len(source.shape)
    labels = source.labels
    halved = labels.shape[axis] > 1
    if halved:
        labels, others = np.split(labels, 2, axis)
        recording.partition.tie(labels, others)
    result = recording.result(operation, labels)
    recording.steps.append(Halved(result.index, source.index, axis if halved else None, labels.shape))
    return result


def unrelated(recording: Recording, operation: Operation) -> Carrier:
    """A new tensor that takes no more than type and device from another."""
    return recording.fixed(operation.node, operation.result, operation.name == "new_zeros")


def _filled(leaf: Any, constants: Iterator[Tensor]) -> Any:
    return next(constants) if isinstance(leaf, Carrier) else leaf


def _step(operation: Operation, carriers: list[Carrier], result: Carrier) -> Step:
    """Return the operation on constants; where it does not take plain numbers, nothing is known of its result."""
    call, given = operation.call, (operation.carried_args, operation.carried_kwargs)  # and not the tensors themselves

    def evaluate(constants: Sequence[Tensor]) -> Tensor:
        left = iter(constants)
        args: Any
        kwargs: Any
        args, kwargs = (map_aggregate(part, lambda leaf: _filled(leaf, left)) for part in given)
        with torch.no_grad():
            return torch.as_tensor(call(*args, **dict(kwargs)))

    shape, sources = result.labels.shape, tuple(carrier.index for carrier in carriers)
    if operation.name == "zeros_like":
        return Zero(result.index, shape)
    if operation.name.startswith(RANDOM):  # what it gives is another number at each pass, never a constant
        return Opaque(result.index, sources, False, shape)
    try:
        evaluate([torch.zeros(carrier.labels.shape, dtype=torch.float64) for carrier in carriers])
    except (RuntimeError, TypeError):
        return Opaque(result.index, sources, False, shape)
    return Pointwise(result.index, sources, evaluate, operation.name.rstrip("_") in ABSORBING, shape)
