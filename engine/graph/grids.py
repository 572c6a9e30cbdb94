"""Grids: tensors whose channels lie along several dimensions at once, such as (3, heads, dimensions of a head).

Dropping single channels would tear a grid, so in the end its channels vary along one dimension only: those that share a
place along it are tied. Which one is left open as long as operations move the grid as a whole, for a product of queries
and keys says that heads stay apart where the reshape before it does not know.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from torch.fx.node import map_aggregate

from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.recording import Recording

LARGEST_GRID = 2**17  # labels of a tensor that is kept a grid


def is_grid(labels: Labels) -> bool:
    """Whether labels vary along several dimensions."""
    return [length > 1 for length in labels.shape].count(True) > 1


def left_open(recording: Recording, labels: Labels) -> Labels:
    """Enter a grid whose one dimension is left open; it would be the one that leaves most channels apart."""
    recording.grids.append((labels, _widest(recording, labels)))
    return labels


def one_dimension(recording: Recording, labels: Labels) -> Labels:
    """Tie labels so that they vary along one dimension only, the one that leaves most channels apart."""
    return _closed(recording, labels, _widest(recording, labels))


def _widest(recording: Recording, labels: Labels) -> int:
    def apart(axis: int) -> int:
        trial = recording.partition.copy()
        return len(np.unique(trial.roots(trial.tie_except(labels, axis))))

    return max((axis for axis, length in enumerate(labels.shape) if length > 1), key=apart)


def _closed(recording: Recording, labels: Labels, kept: int) -> Labels:
    shape = [1] * labels.ndim
    shape[kept] = -1
    return recording.partition.tie_except(labels, kept).reshape(shape)


def tied_over(recording: Recording, labels: Labels, axes: tuple[int, ...]) -> Labels:
    """Tie labels that differ only in their places along `axes`; return one of each, with length 1 there."""
    labels = squeezed(recording.partition.roots(labels))
    for axis in axes:
        if labels.shape[axis] > 1:
            first = labels.take([0], axis)
            recording.partition.tie(first, labels)
            labels = recording.partition.roots(first)
    return labels


def whole_over(recording: Recording, carrier: Carrier, axes: tuple[int, ...]) -> Carrier:
    """Return a tensor as an operation over `axes` sees it: in a grid that reaches beyond them, whole along them."""
    labels = squeezed(recording.partition.roots(carrier.labels))
    long = {axis for axis, length in enumerate(labels.shape) if length > 1}
    inside = {axis % labels.ndim for axis in axes}
    if carrier.bears and long & inside and long - inside:
        labels = tied_over(recording, labels, tuple(long & inside))
    return replace(carrier, labels=labels)


def closed(recording: Recording, labels: Labels) -> Labels:
    """Close the grids that labels are part of; return the labels, which vary along one dimension then."""
    _close(recording, [grid for grid in recording.grids if np.isin(labels, grid[0]).any()])
    labels = squeezed(recording.partition.roots(labels))
    return one_dimension(recording, labels) if is_grid(labels) else labels


def all_closed(recording: Recording, operation: Operation) -> Operation:
    """Return an operation that knows nothing of grids: every grid that it takes becomes one dimension."""

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, Carrier) or not leaf.bears or not is_grid(leaf.labels):
            return leaf
        return replace(leaf, labels=closed(recording, leaf.labels))

    args, kwargs = (map_aggregate(part, one) for part in (operation.carried_args, operation.carried_kwargs))
    return replace(operation, carried_args=args, carried_kwargs=dict(kwargs))  # type: ignore[arg-type] # torch's type


def close_all(recording: Recording) -> None:
    """Close every grid at the end of the passes: along its heads if it has any."""
    roots = recording.partition.roots
    heads = roots(np.unique(np.concatenate([np.zeros(0, np.int64), *recording.heads])))
    _close(recording, [grid for grid in recording.grids if not np.isin(roots(grid[0]), heads).any()])
    for carrier in recording.carriers:
        if carrier.bears and is_grid(carrier.labels):
            labels = squeezed(roots(carrier.labels))
            if is_grid(labels):
                one_dimension(recording, labels)


def _close(recording: Recording, grids: list[tuple[Labels, int]]) -> None:
    for labels, kept in grids:
        _closed(recording, labels, kept)
