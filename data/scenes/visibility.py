"""What each pixel sees: the nearest solid, the point, the normal and the coordinates of its texture.

Point, normal and texture coordinates are computed once for all pixels, from the id and the depth of what is nearest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats, rays
from winnow.data.scenes.nearest import Ids, nearest
from winnow.data.scenes.parts import Shape
from winnow.data.scenes.scene import FACES, Scene, Solids
from winnow.data.scenes.solids import rotated

ZERO, ONE = np.float32(0), np.float32(1)
AXES = np.arange(3)[:, None, None]
RIM = np.float32(1 - 1e-4)
UPRIGHT = np.array([[0], [1], [0]], np.float32)


@dataclass(frozen=True)
class Surface:
    """What an S × S image shows: arrays (S, S), vectors (3, S, S) in the axes of the room.

    `face` is a number of the planar or smooth face within its solid, `uv` (2, S, S) metres along it from its corner,
    `extent` its size in metres, `front` whether it is the one a picture or a drawer front is painted on.
    """

    depth: Floats
    ids: Ids
    face: Ids
    point: Floats
    normal: Floats
    view: Floats
    uv: Floats
    extent: Floats
    front: NDArray[np.bool_]


def visible_surface(scene: Scene, solids: Solids, size: int) -> Surface:
    """Return what the camera sees in an image of size × size pixels."""
    view = rays(scene.camera, size)
    depth, ids = nearest(scene, solids, view)
    origin = np.array(scene.camera.position, np.float32)[:, None, None]
    point = origin + depth * view
    return _deferred(solids, depth, ids, point, view)


def _deferred(solids: Solids, depth: Floats, ids: Ids, point: Floats, view: Floats) -> Surface:
    askew = solids.yaw.any()
    cosine, sine = (solids.cosine[ids], solids.sine[ids]) if askew else (ONE, ZERO)
    local = rotated(point, cosine, sine) if askew else point.copy()
    toward = -rotated(view, cosine, sine) if askew else -view
    half = np.take(solids.half, ids, 1)
    local -= np.take(solids.centre, ids, 1)
    relative = local / half
    local += half
    axis, sign = _flat(ids < FACES, relative, toward)
    normal = np.where(axis == AXES, sign, ZERO)
    face = 2 * axis + (sign > 0)
    uv, extent = _along(axis, local), _along(axis, half + half)
    for shape in (Shape.ELLIPSOID, Shape.FRUSTUM):
        pixels = (solids.shape == shape)[ids]
        if pixels.any():
            normal[:, pixels], face[pixels], uv[0][pixels] = _round(solids, shape, ids[pixels], relative[:, pixels])
    normal = rotated(normal, cosine, -sine) if askew else normal
    return Surface(depth, ids, face, point, normal, view, uv, extent, axis == _thin(solids)[ids])


def _along(axis: Ids, vectors: Floats) -> Floats:
    """Return the components along a face normal to `axis`: horizontal and vertical, on floors x and z."""
    x, y, z = vectors
    return np.stack([np.where(axis == 0, z, x), np.where(axis == 1, z, y)])


def _thin(solids: Solids) -> Ids:
    x, y, z = solids.half
    return np.where(y < np.minimum(x, z), 1, np.where(x < z, 0, 2))


def _flat(inside: NDArray[np.bool_], relative: Floats, toward: Floats) -> tuple[Ids, Floats]:
    """Return the axis of the face that is hit and the sign of its normal; only faces towards the eye count."""
    x, y, z = np.where((relative * toward > 0) ^ inside, np.abs(relative), -ONE)
    axis = np.where((x > y) & (x > z), 0, np.where(y > z, 1, 2))
    return axis, np.where(np.where(axis == 0, toward[0], np.where(axis == 1, toward[1], toward[2])) > 0, ONE, -ONE)


def _round(solids: Solids, shape: Shape, ids: Ids, relative: Floats) -> tuple[Floats, Ids, Floats]:
    """Return the normals, faces and lengths along the girth of points (3, n) on ellipsoids or frusta."""
    half = np.take(solids.half, ids, 1)
    girth = np.arctan2(relative[2], relative[0]) * half[0]
    if shape == Shape.ELLIPSOID:
        normal, face = relative / half, np.zeros(len(ids), np.int64)
    else:
        slope = -half[0] * solids.taper[ids] / half[1] * np.sqrt(relative[0] ** 2 + relative[2] ** 2)
        cap = np.abs(relative[1]) > RIM
        normal = np.where(cap, np.sign(relative) * UPRIGHT, np.stack([relative[0], slope, relative[2]]))
        face = cap.astype(np.int64)
    return normal / np.sqrt((normal * normal).sum(0)), face, girth
