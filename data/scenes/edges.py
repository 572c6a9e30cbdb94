"""Where surfaces end: boundaries of classes, occlusions and creases, one pixel thin.

Two neighbouring pixels p and q = right of or below p are divided if

- their labels differ,
- they show different faces whose normals are more than 30° apart (a crease), or
- each point lies off the other's tangent plane by more than 4 cm + 1 % of the depth (an occlusion). A surface seen
  at a grazing angle obeys its own plane, however much depth changes from pixel to pixel, and makes no edge.

p, the left or upper pixel of the two, carries the edge.
"""

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats
from winnow.data.scenes.scene import Solids
from winnow.data.scenes.visibility import Surface

CREASE = np.float32(np.cos(np.pi / 6))
STEP, RELATIVE = np.float32(0.04), np.float32(0.01)


def edges(surface: Surface, solids: Solids) -> NDArray[np.int64]:
    """Return the edge map (S, S), 1 on edges, else 0."""
    label = solids.label[surface.ids]
    face = surface.ids * 8 + surface.face
    out = np.zeros(label.shape, np.int64)
    for axis in (0, 1):
        p, q = _pair(axis)
        out[p] |= (label[p] != label[q]) | _creased(surface, face, axis) | _occluded(surface, axis)
    return out


def _pair(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    whole = slice(None)
    first, second = slice(None, -1), slice(1, None)
    return ((first, whole), (second, whole)) if axis == 0 else ((whole, first), (whole, second))


def _creased(surface: Surface, face: NDArray[np.int64], axis: int) -> NDArray[np.bool_]:
    p, q = _pair(axis)
    whole = slice(None)
    cosine = (surface.normal[(whole, *p)] * surface.normal[(whole, *q)]).sum(0)
    values: NDArray[np.bool_] = (face[p] != face[q]) & (cosine < CREASE)
    return values


def _occluded(surface: Surface, axis: int) -> NDArray[np.bool_]:
    p, q = _pair(axis)
    whole = slice(None)
    step: Floats = surface.point[(whole, *q)] - surface.point[(whole, *p)]
    off_p = np.abs((surface.normal[(whole, *p)] * step).sum(0))
    off_q = np.abs((surface.normal[(whole, *q)] * step).sum(0))
    values: NDArray[np.bool_] = np.minimum(off_p, off_q) > STEP + RELATIVE * np.minimum(
        surface.depth[p], surface.depth[q]
    )
    return values
