"""Noise from two fixed tables, one white and one smooth, indexed by the whole number of a cell.

A table is exact on every machine, where hashes made of sines are not.
"""

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats

Cells = NDArray[np.int64]


def _smooth(white: Floats) -> Floats:
    for axis in (0, 1):
        for _ in range(3):
            white = (np.roll(white, 1, axis) + 2 * white + np.roll(white, -1, axis)) / 4
    values: Floats = (white - white.min()) / (white.max() - white.min())
    return values


WHITE = np.random.default_rng(13).random((256, 256), dtype=np.float32)
SMOOTH = _smooth(WHITE)
WHITE.setflags(write=False)
SMOOTH.setflags(write=False)


def cell(x: Floats) -> Cells:
    """Return the whole number below."""
    return np.floor(x).astype(np.int64)


def white(row: Cells, column: Cells, seed: Cells) -> Floats:
    """Return numbers in [0, 1), unrelated between cells."""
    return _looked_up(WHITE, row, column, seed)


def cloud(x: Floats, y: Floats, seed: Cells) -> Floats:
    """Return numbers in [0, 1] that change little from one cell, of side 1, to the next."""
    return _looked_up(SMOOTH, cell(x), cell(y), seed)


def _looked_up(table: Floats, row: Cells, column: Cells, seed: Cells) -> Floats:
    values: Floats = np.take(table, ((row + 57 * seed) & 255) << 8 | ((column + 131 * seed) & 255))
    return values
