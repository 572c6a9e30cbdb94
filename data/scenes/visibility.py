"""What each pixel sees: the nearest solid, the point, the normal and the coordinates of its texture.

Solids are tried one by one, each only within the rectangle that the corners of its bounding box project to. Point,
normal and texture coordinates are then computed once for all pixels from the id and the depth ("deferred").
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.scenes.camera import NEAR, Floats, rays, rectangles
from data.scenes.parts import Shape
from data.scenes.scene import FACES, Scene, Solids
from data.scenes.solids import Rays, beam, span, turned

Ids = NDArray[np.int64]
ZERO, ONE = np.float32(0), np.float32(1)
AXES = np.arange(3)[:, None, None]
Turn = Floats | np.floating[Any]
RIM = np.float32(1 - 1e-4)
UPRIGHT = np.array([[0], [1], [0]], np.float32)
SIGNS = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float32).T


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


def seen(scene: Scene, solids: Solids, size: int) -> Surface:
    """Return what the camera sees in an image of size × size pixels."""
    view = rays(scene.camera, size)
    depth, ids = _nearest(scene, solids, view)
    origin = np.array(scene.camera.position, np.float32)[:, None, None]
    point = origin + depth * view
    return _deferred(solids, depth, ids, point, view)


def corners(solids: Solids, chosen: Ids) -> Floats:
    """Return the corners (3, N, 8) of the bounding boxes of the chosen solids in the axes of the room."""
    half = solids.half[:, chosen].copy()
    half[0] *= 1 + np.abs(solids.taper[chosen])
    half[2] *= 1 + np.abs(solids.taper[chosen])
    x, y, z = solids.centre[:, chosen, None] + half[:, :, None] * SIGNS[:, None, :]
    cosine, sine = np.cos(solids.yaw[chosen])[:, None], np.sin(solids.yaw[chosen])[:, None]
    return np.stack([cosine * x + sine * z, y, cosine * z - sine * x])


def frames(yaws: Floats, origin: Floats, direction: Floats) -> dict[float, Rays]:
    """Return the rays in the frame of each of the yaws."""
    distinct = set(yaws.tolist())
    return {yaw: beam(turned(origin, yaw), turned(direction, yaw)) for yaw in distinct}


def _nearest(scene: Scene, solids: Solids, view: Floats) -> tuple[Floats, Ids]:
    size = view.shape[1]
    origin = np.broadcast_to(np.array(scene.camera.position, np.float32)[:, None, None], view.shape)
    beams = frames(solids.yaw, origin, view)
    depth, ids = _room(solids, beams[0.0])
    chosen = np.arange(FACES, len(solids.shape))
    boxes = rectangles(scene.camera, corners(solids, chosen), size)
    drawn = np.flatnonzero((boxes[:, 0] < boxes[:, 1]) & (boxes[:, 2] < boxes[:, 3]))
    yaws = solids.yaw.tolist()
    for k, rectangle in zip((drawn + FACES).tolist(), boxes[drawn].tolist(), strict=True):
        top, bottom, left, right = rectangle
        near, far = span(solids.bodies[k], beams[yaws[k]], rectangle)
        behind = depth[top:bottom, left:right]
        hit = (near < far) & (near < behind) & (near > NEAR)
        np.copyto(behind, near, where=hit)
        ids[top:bottom, left:right][hit] = k
    return depth, ids


def _room(solids: Solids, beams: Rays) -> tuple[Floats, Ids]:
    reach = 2 * solids.half[:, 0]
    wall = np.where(beams.direction > 0, reach[:, None, None], np.float32(0))
    far = wall * beams.inverse - beams.moment
    axis = far.argmin(0)
    side = np.take_along_axis(beams.direction, axis[None], 0)[0] > 0
    return far.min(0), 2 * axis + side


def _deferred(solids: Solids, depth: Floats, ids: Ids, point: Floats, view: Floats) -> Surface:
    yaw = solids.yaw.any()
    cosine, sine = (np.cos(solids.yaw)[ids], np.sin(solids.yaw)[ids]) if yaw else (ONE, ZERO)
    local = _rotated(point, cosine, sine) if yaw else point.copy()
    toward = -_rotated(view, cosine, sine) if yaw else -view
    half = np.take(solids.half, ids, 1)
    local -= np.take(solids.centre, ids, 1)
    relative = local / half
    local += half
    axis, sign = _flat(ids < FACES, relative, toward)
    normal = np.where(axis == AXES, sign, ZERO)
    face = 2 * axis + (sign > 0)
    uv, extent = _along(axis, local), _along(axis, half + half)
    for k in np.flatnonzero((solids.shape == Shape.ELLIPSOID) | (solids.shape == Shape.FRUSTUM)).tolist():
        pixels = ids == k
        if pixels.any():
            normal[:, pixels], face[pixels], uv[0][pixels] = _round(solids, k, relative[:, pixels])
    normal = _rotated(normal, cosine, -sine) if yaw else normal
    return Surface(depth, ids, face, point, normal, view, uv, extent, axis == _thin(solids)[ids])


def _rotated(vectors: Floats, cosine: Turn, sine: Turn) -> Floats:
    x, y, z = vectors
    return np.stack([cosine * x - sine * z, y, sine * x + cosine * z])


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


def _round(solids: Solids, k: int, relative: Floats) -> tuple[Floats, Ids, Floats]:
    half = solids.half[:, k : k + 1]
    turn = np.arctan2(relative[2], relative[0]) * half[0]
    if solids.shape[k] == Shape.ELLIPSOID:
        normal, face = relative / half, np.zeros(relative.shape[1], np.int64)
    else:
        slope = -half[0] * solids.taper[k] / half[1] * np.sqrt(relative[0] ** 2 + relative[2] ** 2)
        cap = np.abs(relative[1]) > RIM
        normal = np.where(cap, np.sign(relative) * UPRIGHT, np.stack([relative[0], slope, relative[2]]))
        face = cap.astype(np.int64)
    return normal / np.sqrt((normal * normal).sum(0)), face, turn
