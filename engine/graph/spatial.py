"""Rules over space: pooling, interpolation, padding, and sums over some dimensions.

Over the dimensions along which the channels do not lie, these keep every channel what it is. Where the channels do lie
along one of them, a pooling makes them one, and a mean or a softmax mixes them.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.grids import whole_over
from winnow.engine.graph.movement import padded_with_number
from winnow.engine.graph.operation import Operation, tensors_in
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.pointwise import pointwise
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.steps import Keep, Opaque

STEADY = ("mean", "amax", "amin", "max", "min", "median")  # of a constant, these are the constant
CONSTANTS: dict[str, float | None] = dict.fromkeys(STEADY) | {"sum": 0.0, "norm": 0.0}


def pooled(recording: Recording, operation: Operation) -> Carrier:
    """Max, average, adaptive and power-average pooling in 1, 2 or 3 dimensions."""
    if not isinstance(result := operation.result, tuple):
        padding = getattr(operation.module, "padding", operation.value(3, "padding", 0))
        zero_only = ("avg" in operation.name.lower() and bool(np.any(padding))) or "lp" in operation.name.lower()
        dimensions = next(int(digit) for digit in operation.name if digit.isdigit())
        return _over_space(recording, operation, result.dim() - dimensions, 0.0 if zero_only else None)
    raise operation.refusal("leave out its indices")


def pooled_with_places(recording: Recording, operation: Operation) -> tuple[Carrier, ...]:
    """Max pooling that returns the places too: a place for each channel, of which nothing is known."""
    values, places = operation.result
    dimensions = next(int(digit) for digit in operation.name if digit.isdigit())
    first = _over_space(recording, replace(operation, result=values), values.dim() - dimensions, None)
    second = recording.result(operation, first.labels, places)
    recording.steps.append(Opaque(second.index, (operation.carrier().index,), False, second.labels.shape))
    return first, second


def unpooled(recording: Recording, operation: Operation) -> Carrier:
    """Max unpooling: values go to the places of their own channel, zero elsewhere."""
    source, places = operation.carrier(), operation.carrier(1, "indices")
    dimensions = next(int(digit) for digit in operation.name if digit.isdigit())
    if any(n > 1 for part in (source, places) for n in part.labels.shape[len(source.shape) - dimensions :]):
        raise operation.refusal("has channels over space")
    shape = np.broadcast_shapes(source.labels.shape, places.labels.shape)
    labels = np.broadcast_to(source.labels, shape)
    recording.partition.tie(labels, np.broadcast_to(places.labels, shape))
    result = recording.result(operation, np.array(labels))
    recording.steps.append(Opaque(result.index, (source.index, places.index), False, shape))
    return result


def interpolated(recording: Recording, operation: Operation) -> Carrier:
    """F.interpolate and nn.Upsample: everything behind dimension 1 is space."""
    return _over_space(recording, operation, 2, None)


def padded(recording: Recording, operation: Operation) -> Any:
    """F.pad and the padding modules."""
    module: Any = operation.module
    pads = module.padding if module is not None else operation.value(1, "pad")
    mode = operation.value(2, "mode", "constant") if module is None else operation.name
    if mode == "constant" or mode.startswith(("ConstantPad", "ZeroPad")):
        fill = getattr(module, "value", 0) if module is not None else operation.value(3, "value", 0) or 0
        return padded_with_number(recording, operation, pads, float(fill))
    return _over_space(recording, operation, operation.result.dim() - len(pads) // 2, None)


def reduced(recording: Recording, operation: Operation) -> Any:
    """Mean, sum, maximum, norm, … over some dimensions or all."""
    source = operation.carrier()
    if len(operation.carriers()) > 1:  # the larger of two tensors
        return pointwise(recording, operation)
    dimensions = _dimensions(operation, len(source.shape))
    source = whole_over(recording, source, dimensions)
    if any(source.labels.shape[axis] > 1 for axis in dimensions):
        labels = recording.unmade_labels(operation.place, 1)
        recording.mix(operation, f"{operation.name} mixes the channels", [source.labels], labels)
        return _each(recording, operation, source, lambda shape: labels.reshape((1,) * len(shape)), mixes=True)
    through = source.labels.shape

    def left(shape: tuple[int, ...]) -> Labels:
        if len(shape) == len(through):
            return source.labels
        return source.labels.reshape([n for axis, n in enumerate(through) if axis not in dimensions])

    return _each(recording, operation, source, left, mixes=False)


def softmaxed(recording: Recording, operation: Operation) -> Carrier:
    """Softmax, normalisation to length one, cumulated sums, sorting: along `dim`, everything meets everything."""
    source = operation.carrier()
    module: Any = operation.module
    axis = getattr(module, "dim", -3) if module is not None else operation.value(1, "dim")
    if operation.name == "normalize":
        axis = operation.value(2, "dim", 1)
    if axis is None:
        raise operation.refusal("name its dimension with `dim`")
    source = whole_over(recording, source, (axis,))
    result = recording.result(operation, source.labels)
    mixes = source.labels.shape[axis] > 1
    if mixes:
        recording.mix(operation, f"{operation.name} mixes the channels", [source.labels], source.labels)
    recording.steps.append(Opaque(result.index, (source.index,), mixes, result.labels.shape))
    return result


def _over_space(recording: Recording, operation: Operation, first: int, kept: float | None) -> Carrier:
    """Keep the channels; those along a spatial dimension (`first` and on) become one."""
    source = operation.carrier()
    labels = source.labels
    for axis in range(first, len(source.shape)):
        if labels.shape[axis] > 1:
            swapped = np.moveaxis(labels, axis, -1)
            recording.partition.tie(swapped[..., :1], swapped)
            labels = labels.take([0], axis)
    result = recording.result(operation, labels)
    recording.steps.append(Keep(result.index, source.index, labels.shape, labels.shape, kept))
    return result


def _dimensions(operation: Operation, count: int) -> tuple[int, ...]:
    place = 2 if "norm" in operation.name else 1
    given = operation.value(place, "dim", operation.kwargs.get("axis"))
    if given is None or isinstance(given, bool):
        return tuple(range(count))
    return tuple(axis % count for axis in ([given] if isinstance(given, int) else given))


def _each(recording: Recording, operation: Operation, source: Carrier, labels_of: Any, mixes: bool) -> Any:
    """Enter every tensor of the result (a maximum comes with its place, of which no constant is known)."""
    carriers: list[Carrier] = []
    for value in tensors_in(operation.result):
        made = recording.result(operation, labels_of(tuple(value.shape)), value)
        kept = CONSTANTS.get(operation.name, math.nan) if not carriers else math.nan
        shape = made.labels.shape
        if mixes:
            recording.steps.append(Opaque(made.index, (source.index,), True, shape))
        else:
            recording.steps.append(Keep(made.index, source.index, source.labels.shape, shape, kept))
        carriers.append(made)
    return carriers[0] if not isinstance(operation.result, tuple) else tuple(carriers)
