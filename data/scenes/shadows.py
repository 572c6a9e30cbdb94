"""Shadows: which share of the light of a lamp arrives at a point.

A lamp is a point; its share falls with the length of the way through solids, summed over them, from 1 to 0 at `SOFT`
metres. Borders of shadows are therefore soft, and surfaces do not shade themselves.

A solid can shade only what lies in the cone around its bounding sphere, which is known for all solids and points at
once from one product of matrices. Most pairs of a solid and a point fail it; the others are intersected all together.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats
from winnow.data.scenes.nearest import Ids, around, bounds, met
from winnow.data.scenes.parts import Vector
from winnow.data.scenes.scene import Solids
from winnow.data.scenes.solids import Mask, rotated
from winnow.data.scenes.visibility import Surface

SOFT = np.float32(0.05)
MARGIN = np.float32(1e-3)
LARGE = 96
BLOCK = 1 << 12  # points at a time, so that memory does not grow with solids × pixels


class Casters(NamedTuple):
    """The N solids that cast shadows, seen from a lamp: ids, ordered by shape, and centres (3, N) in their frames.

    `axis` (N, 3) and `cosine` (N, 1) are those of the cones around their bounding spheres.
    """

    ids: Ids
    centre: Floats
    axis: Floats
    cosine: Floats


class Ways(NamedTuple):
    """The ways of a lamp's light: unit vectors (3, …) away from it and the metres (…) to the points seen."""

    unit: Floats
    length: Floats


def arriving(solids: Solids, surface: Surface, origin: Vector, ways: Ways, lit: Mask) -> Floats:
    """Return the share (S, S) of the light of a lamp at `origin` that arrives, NaN where `lit` does not hold.

    In large images every second pixel of every second row is asked first; a pixel between four that agree takes their
    answer if it shows the same solid as the one left above it.
    """
    casters = _casters(solids, origin)
    share = np.full(lit.shape, np.nan, np.float32)
    if len(lit) < LARGE:
        share[lit] = _arriving(solids, casters, ways, lit)
        return share
    first = np.zeros_like(lit)
    first[::2, ::2] = lit[::2, ::2]
    share[first] = _arriving(solids, casters, ways, first)
    agreed = _agreed(share, surface.ids)
    np.copyto(share, _spread(share), where=agreed)
    rest = lit & ~agreed & ~first
    share[rest] = _arriving(solids, casters, ways, rest)
    return share


def _spread(values: NDArray[Any]) -> NDArray[Any]:
    """Return the value of the pixel above and left in even rows and columns."""
    height, width = values.shape
    return values[::2, ::2].repeat(2, 0).repeat(2, 1)[:height, :width]


def _agreed(share: Floats, ids: Ids) -> Mask:
    corner = np.pad(share[::2, ::2], ((0, 1), (0, 1)), "edge")
    first = corner[:-1, :-1]
    same = (first == corner[1:, :-1]) & (first == corner[:-1, 1:]) & (first == corner[1:, 1:])
    whole = same.repeat(2, 0).repeat(2, 1)[: len(share), : len(share)]
    agreed: Mask = whole & (_spread(ids) == ids)
    return agreed


def _casters(solids: Solids, origin: Vector) -> Casters:
    ids = solids.casts
    centre, half = around(solids, ids, origin), bounds(solids, ids)
    away, radius = np.sqrt((centre * centre).sum(0)), np.sqrt((half * half).sum(0))
    axis = rotated(centre / away, solids.cosine[ids], -solids.sine[ids]).T
    cosine = np.sqrt(1 - np.minimum(radius / away, 1) ** 2)
    cosine[radius >= away] = -1
    return Casters(ids, centre, axis, (cosine - MARGIN)[:, None])


def _arriving(solids: Solids, casters: Casters, ways: Ways, mask: Mask) -> Floats:
    """Return the share (n,) of the light that arrives where an (S, S) mask holds."""
    unit, length = np.compress(mask.ravel(), ways.unit.reshape(3, -1), 1), ways.length[mask]
    within = np.zeros(length.size)
    for low in range(0, length.size if casters.ids.size else 0, BLOCK):
        part = slice(low, low + BLOCK)
        within[part] = _within(solids, casters, Ways(unit[:, part], length[part]))
    share: Floats = 1 - np.minimum(within / SOFT, 1)
    return share


def _within(solids: Solids, casters: Casters, ways: Ways) -> Floats:
    """Return the metres (n,) of each way that lie inside solids."""
    near = np.einsum("nk,kp->np", casters.axis, ways.unit) > casters.cosine  # `@` would start threads of its own
    solid, way = np.divmod(np.flatnonzero(near), ways.length.size)
    centre, direction = np.take(casters.centre, solid, 1), np.take(ways.unit, way, 1)
    entry, leave = met(solids, casters.ids[solid], centre, direction)
    inside = np.minimum(leave, ways.length[way]) - np.maximum(entry, 0)
    return np.bincount(way, np.maximum(inside, 0), ways.length.size).astype(np.float32)
