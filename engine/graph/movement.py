"""The rule of all operations that only move elements: they are run on the labels themselves.

Concatenation, split, chunk, slicing, indexing, reshape, permutation, pixel shuffle, expansion, flip, roll, padding with
a number: each is applied to a tensor of the input's shape whose entries number the labels. The result says where every
element came from, exactly, so no rule can be wrong about offsets or orders.

A reshape can lay channels along several dimensions at once (heads, the r² blocks of a pixel shuffle, the groups of a
channel shuffle); see `engine.graph.grids`. A channel shuffle is such a grid inside one operation: the same positions of
its groups are tied.
"""

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winnow.engine.graph.carriers import Carrier, numbered, squeezed, squeezed_tensor
from winnow.engine.graph.grids import LARGEST_GRID, closed, is_grid, left_open, one_dimension, tied_over
from winnow.engine.graph.layer_steps import Dropped
from winnow.engine.graph.operation import Operation, carriers_in
from winnow.engine.graph.partition import FIXED
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.steps import ChosenStep, Keep, Move

RESHAPING = ("view", "reshape", "unflatten", "Unflatten", "flatten", "Flatten", "view_as", "reshape_as")
JOINING = ("cat", "concat", "concatenate")


def moved(recording: Recording, operation: Operation) -> Any:
    """Any operation that moves elements of its first argument (or of the list in it); other tensors are indices.

    Raises:
        NotTraceable: an index that depends on the input, or on chance, picks channels.

    """
    if operation.name in JOINING and (joined := _joined(recording, operation)) is not None:
        return joined
    if operation.name in ("ChannelShuffle", "channel_shuffle"):
        module: Any = operation.module
        blocks = module.groups if module is not None else operation.value(1, "groups")
        recording.tie_blocks(recording.along(operation.carrier(), 1), blocks)
    first = operation.carried_args[0] if operation.carried_args else operation.carried_kwargs.get("input")
    sources = list(carriers_in(first))
    indices = [] if operation.name.endswith("_as") else _indices(recording, operation, sources)
    if indices and _picks_channels(recording, operation, sources, indices):
        raise operation.refusal("picks channels by values that depend on the input or on chance")
    ids, result = _run_on_ids(operation, sources), operation.result
    if operation.name == "expand_as":
        return _spread(recording, operation, ids)
    if isinstance(ids, Tensor):
        return _placed(recording, operation, [sources, indices], (ids, result))
    return tuple(_placed(recording, operation, [sources, indices], pair) for pair in zip(ids, result, strict=True))


def _spread(recording: Recording, operation: Operation, ids: Tensor) -> Carrier:
    """x.expand_as(y): what is repeated along the channels of y has as many of them as y has, with the same content."""
    source, other = operation.carrier(), operation.carrier(1, "other")
    index = squeezed_tensor(ids)
    long = [axis for axis, length in enumerate(other.labels.shape) if length > 1]
    if len(long) != 1 or any(length > 1 for length in index.shape):
        return _placed(recording, operation, [[source], []], (ids, operation.result))
    made = recording.carrier(operation.node, operation.result, other.labels, bears=source.bears or other.bears)
    index = np.broadcast_to(index, other.labels.shape)
    recording.steps.append(Move(made.index, (source.index,), index, 0.0, other.labels.shape))
    if source.labels.ravel()[0] != FIXED:
        recording.mix(operation, "spreads one channel over many", [source.labels], other.labels)
    return made


def assigned(recording: Recording, operation: Operation) -> Carrier:
    """x[index] = value: the channels of the part that is written to are those of the value.

    Raises:
        NotTraceable: an index that depends on the input, or on chance, picks channels.

    """
    target, (_, place, value) = operation.carrier(), operation.args
    given = operation.carried_args[2]
    sources = [target, given] if isinstance(given, Carrier) else [target]
    indices = [c for c in carriers_in((operation.carried_args[1],)) if c.index in recording.varying]
    part = replace(operation, name="getitem", args=(operation.args[0], place), carried_args=operation.carried_args[:2])
    part = replace(part, call=operator.getitem)
    if indices and _picks_channels(recording, part, [target], indices):
        raise operation.refusal("picks channels by values that depend on the input or on chance")
    ids = numbered(target.labels, target.shape, 0).clone()
    written = ids[place]
    if isinstance(given, Carrier):
        new = numbered(given.labels, given.shape, target.labels.size).expand(written.shape)
        pairs = np.unique(np.stack([written.reshape(-1).numpy(), new.reshape(-1).numpy()]), axis=1)
        every = np.concatenate([source.labels.ravel() for source in sources])
        recording.partition.tie(every[pairs[0]], every[pairs[1]])
        ids[place] = new
    else:
        ids[place] = -1
    return _placed(recording, operation, [sources, indices], (ids, operation.args[0]), fill=_number(value))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _indices(recording: Recording, operation: Operation, sources: list[Carrier]) -> list[Carrier]:
    """Return the operands that are not moved, and are not the same each time."""
    chosen = {id(source) for source in sources}
    return [c for c in operation.carriers() if id(c) not in chosen and (c.bears or c.index in recording.varying)]


def _picks_channels(recording: Recording, operation: Operation, sources: list[Carrier], indices: list[Carrier]) -> bool:
    """Whether other values of the indices would give other channels."""
    every = np.concatenate([*(source.labels.ravel() for source in sources), [FIXED]])
    chosen = {index.index for index in indices}
    found = []
    for place in (0, 1):
        args = _at(operation.args, operation.carried_args, chosen, place)
        kwargs = _at(operation.kwargs, operation.carried_kwargs, chosen, place)
        try:
            moved_to = _run_on_ids(replace(operation, args=args, kwargs=kwargs), sources)
        except (IndexError, RuntimeError):  # an axis of length 1
            continue
        parts = [moved_to] if isinstance(moved_to, Tensor) else list(moved_to)
        found.append([squeezed(recording.partition.roots(every[squeezed_tensor(part)])) for part in parts])
    return len(found) > 1 and not all(
        len(one.ravel()) == len(other.ravel()) and (one.ravel() == other.ravel()).all()
        for one, other in zip(*found, strict=True)
    )


def _at(value: Any, carried: Any, chosen: set[int], place: int) -> Any:
    """Return arguments with other values for the chosen indices: `place` throughout, or one place of a mask."""
    if isinstance(carried, Carrier):
        if carried.index not in chosen:
            return value
        changed = torch.full_like(value, 0 if value.dtype == torch.bool else place)
        if value.dtype == torch.bool and value.numel():
            changed.view(-1)[-place] = True
        return changed
    if isinstance(carried, dict):
        return {key: _at(value[key], part, chosen, place) for key, part in carried.items()}
    if isinstance(carried, tuple | list):
        return type(carried)(_at(v, c, chosen, place) for v, c in zip(value, carried, strict=True))
    return value


def unchanged(recording: Recording, operation: Operation) -> Carrier:
    """A copy, a cast: every element stays where and what it is."""
    source = operation.carrier()
    result = recording.result(operation, source.labels)
    recording.steps.append(Keep(result.index, source.index, source.labels.shape, source.labels.shape))
    return result


def dropped(recording: Recording, operation: Operation) -> Carrier:
    """Dropout: no constant but zero survives it where it is at work; alpha dropout, of SELU nets, changes zeros too.

    It may be at work in training mode though not in this pass: one pass serves both modes where only flags differ.
    """
    module: Any = operation.module
    alpha = "alpha" in operation.name.lower()
    works = operation.kwargs.get("train", operation.value(2, "training", not alpha))
    rate, works = (operation.value(1, "p", 0.5), works) if module is None else (module.p, module.training)
    if not rate:
        return unchanged(recording, operation)
    source = operation.carrier()
    result, shape = recording.result(operation, source.labels), source.labels.shape
    always = bool(works) and recording.evaluating
    recording.steps.append(Dropped(result.index, source.index, shape, shape, spares_zero=not alpha, always=always))
    return result


def padded_with_number(recording: Recording, operation: Operation, pads: Sequence[int], fill: float) -> Any:
    """Padding with a number: over space the channels stay what they are; new channels are fixed."""
    source = operation.carrier()
    last = len(source.shape) - 1
    widened = [last - place // 2 for place, pad in enumerate(pads) if pad]
    if any(source.labels.shape[axis] > 1 for axis in widened):
        return moved(recording, operation)
    result = recording.result(operation, source.labels)
    shape = source.labels.shape
    recording.steps.append(Keep(result.index, source.index, shape, shape, kept=fill))
    return result


def _run_on_ids(operation: Operation, sources: list[Carrier]) -> Any:
    starts = np.cumsum([0, *(source.labels.size for source in sources)])
    ids = iter([numbered(c.labels, c.shape, int(start)) for c, start in zip(sources, starts[:-1], strict=True)])
    chosen = {id(source) for source in sources}

    def put(value: Any, carried: Any) -> Any:
        if isinstance(carried, Carrier):
            if id(carried) not in chosen:
                return value
            return next(ids).contiguous() if operation.name.startswith("view") else next(ids)
        if isinstance(carried, tuple | list):
            return type(carried)(put(v, c) for v, c in zip(value, carried, strict=True))
        return value

    args = tuple(put(v, c) for v, c in zip(operation.args, operation.carried_args, strict=True))
    kwargs = {name: put(v, operation.carried_kwargs[name]) for name, v in operation.kwargs.items()}
    if "pad" in operation.name.lower():
        return torch.nn.functional.pad(args[0], _pads(operation), value=-1)
    return operation.call(*args, **kwargs)


def _pads(operation: Operation) -> Sequence[int]:
    module: Any = operation.module
    pads: Sequence[int] = module.padding if module is not None else operation.value(1, "pad")
    return pads


def _placed(
    recording: Recording,
    operation: Operation,
    taken: list[list[Carrier]],
    moved_to: tuple[Tensor, Tensor],
    fill: float | None = None,
) -> Carrier:
    """Return the carrier of one moved tensor, from its ids and itself; `taken` are what is moved, and the indices."""
    (sources, indices), (ids, value) = taken, moved_to
    index = squeezed_tensor(ids)
    every = np.concatenate([*(source.labels.ravel() for source in sources), [FIXED]])
    labels = squeezed(recording.partition.roots(every[index]))
    if operation.name in JOINING:  # tensors one behind the other along a dimension without channels
        axis = int(operation.value(1, "dim", operation.kwargs.get("axis", 0))) % labels.ndim
        if all(_lies_across(source, axis) for source in sources if len(source.shape) == labels.ndim):
            labels = tied_over(recording, labels, (axis,))
    bears = any(source.bears for source in (*sources, *indices))
    if bears and is_grid(labels) and not any(is_grid(source.labels) for source in sources):
        small = operation.name in RESHAPING and labels.size <= LARGEST_GRID
        labels = left_open(recording, labels) if small else one_dimension(recording, labels)
    elif bears and is_grid(labels) and labels.size > LARGEST_GRID:
        labels = closed(recording, labels)
    made = recording.carrier(operation.node, value, labels, bears)
    origins = tuple(source.index for source in sources)
    padding = _fill(operation) if fill is None else fill
    recording.steps.append(Move(made.index, origins, index, padding, labels.shape))
    if indices:
        recording.steps.append(ChosenStep(made.index, tuple(index.index for index in indices)))
    return made


def _lies_across(source: Carrier, axis: int) -> bool:
    """Whether a tensor has no channels along `axis`; a parameter of several tokens has a label for each element."""
    return source.labels.shape[axis] == 1 or (not source.bears and is_grid(source.labels))


def _fill(operation: Operation) -> float:
    module: Any = operation.module
    value = getattr(module, "value", 0) if module is not None else operation.value(3, "value", 0)
    return float(value) if isinstance(value, int | float) else 0.0


def _joined(recording: Recording, operation: Operation) -> Carrier | None:
    """Concatenation of labels along the dimension they vary along, without the tensors' full extent."""
    sources = operation.carriers()
    result: Tensor = operation.result
    axis = int(operation.value(1, "dim", operation.kwargs.get("axis", 0))) % result.dim()
    parts, numbers, start = [], [], 0
    for source in sources:
        if any(length > 1 for place, length in enumerate(source.labels.shape) if place != axis):
            return None
        if len(source.shape) != result.dim():
            return None
        extent = [1] * result.dim()
        extent[axis] = source.shape[axis]
        parts.append(np.broadcast_to(source.labels, extent))
        numbers.append(
            np.broadcast_to(np.arange(start, start + source.labels.size).reshape(source.labels.shape), extent)
        )
        start += source.labels.size
    joined = np.concatenate(parts, axis)
    made = recording.result(operation, joined)
    index = np.concatenate(numbers, axis)
    recording.steps.append(Move(made.index, tuple(source.index for source in sources), index, 0.0, joined.shape))
    return made
