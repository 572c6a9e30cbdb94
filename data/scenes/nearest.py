"""Which solid each pixel sees first.

The room is met by every ray. A solid is tried only within the rectangle that the corners of its bounding box project
to: large ones one by one, on slices of the image; small ones, of which there are many, in one pass over all pairs of
a solid and a pixel.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import NEAR, Floats, rectangles
from winnow.data.scenes.parts import Vector
from winnow.data.scenes.scene import Scene, Solids
from winnow.data.scenes.solids import Body, Rays, beam, rotated, span, spans

Ids = NDArray[np.int64]
Box = tuple[slice, slice]
SMALL = 160  # pixels; below, the overhead of a pass of its own outweighs the gathering
SIGNS = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float32).T


def nearest(scene: Scene, solids: Solids, view: Floats) -> tuple[Floats, Ids]:
    """Return the depth and the id (S, S) of the solid that each ray (3, S, S) of the camera meets first."""
    boxes = rectangles(scene.camera, _corners(solids, solids.order), view.shape[1])
    area = np.maximum(boxes[:, 1] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 2], 0)
    large, small = area > SMALL, (area > 0) & (area <= SMALL)
    centre = around(solids, solids.order, scene.camera.position)
    beams = _frames(solids, solids.order[large], view)
    depth, ids = _room(solids, scene.camera.position, beams[0.0])
    for body, (k, yaw), box in _each(solids, solids.order[large], centre[:, large], boxes[large]):
        _draw(body, k, beams[yaw].cut(*box), (depth[box], ids[box]))
    if small.any():
        _draw_all(solids, solids.order[small], centre[:, small], boxes[small], (view, depth, ids))
    return depth, ids


def bounds(solids: Solids, chosen: Ids) -> Floats:
    """Return the half extents (3, N) of the bounding boxes of the chosen solids in their frames."""
    half = np.take(solids.half, chosen, 1)
    half[::2] *= 1 + np.abs(solids.taper[chosen])
    return half


def around(solids: Solids, chosen: Ids, origin: Vector) -> Floats:
    """Return the centres (3, N) of the chosen solids relative to a point of the room, in their frames."""
    point = np.repeat(np.array(origin, np.float32)[:, None], len(chosen), 1)
    return np.take(solids.centre, chosen, 1) - rotated(point, solids.cosine[chosen], solids.sine[chosen])


def met(solids: Solids, ids: Ids, centre: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Return where each ray (3, n) of the room enters and leaves its own solid; `ids` (n,) are ordered by shape.

    `centre` (3, n) is relative to the origin of the rays, in the frames of the solids.
    """
    if solids.yaw[ids].any():
        direction = rotated(direction, solids.cosine[ids], solids.sine[ids])
    return spans(solids.shape[ids], centre, np.take(solids.half, ids, 1), solids.taper[ids], beam(direction))


def _corners(solids: Solids, chosen: Ids) -> Floats:
    """Return the corners (3, N, 8) of the bounding boxes of the chosen solids in the axes of the room."""
    box = np.take(solids.centre, chosen, 1)[:, :, None] + bounds(solids, chosen)[:, :, None] * SIGNS[:, None, :]
    return rotated(box, solids.cosine[chosen, None], -solids.sine[chosen, None])


def _frames(solids: Solids, chosen: Ids, view: Floats) -> dict[float, Rays]:
    """Return the rays in the frame of the room, 0.0, and in those of the chosen solids, by yaw."""
    beams = {0.0: beam(view)}
    for k in chosen.tolist():
        yaw = float(solids.yaw[k])
        if yaw not in beams:
            beams[yaw] = beam(rotated(view, solids.cosine[k], solids.sine[k]))
    return beams


def _room(solids: Solids, origin: Vector, beams: Rays) -> tuple[Floats, Ids]:
    place = np.array(origin, np.float32)[:, None, None]
    ahead = beams.direction > 0
    far = (np.where(ahead, 2 * solids.half[:, 0, None, None], np.float32(0)) - place) * beams.inverse
    depth = far.min(0)
    ids = np.where(far[0] == depth, ahead[0], np.where(far[1] == depth, 2 + ahead[1], 4 + ahead[2]))
    return depth, ids.astype(np.int64)


def _each(solids: Solids, chosen: Ids, centre: Floats, boxes: Ids) -> Iterator[tuple[Body, tuple[int, float], Box]]:
    """Return each of the chosen solids, its id and yaw, and its rows and columns."""
    vectors = np.stack([centre, np.take(solids.half, chosen, 1)]).transpose(2, 0, 1)[..., None, None]
    shapes, yaws = solids.shape[chosen].tolist(), solids.yaw[chosen].tolist()
    bodies = (Body(s, c, h, t) for s, (c, h), t in zip(shapes, vectors, solids.taper[chosen], strict=True))
    areas = ((slice(top, bottom), slice(left, right)) for top, bottom, left, right in boxes.tolist())
    return zip(bodies, zip(chosen.tolist(), yaws, strict=True), areas, strict=True)


def _draw(body: Body, k: int, rays: Rays, seen: tuple[Floats, Ids]) -> None:
    """Enter a solid into the depth and the ids of a part of the image where it is nearer."""
    depth, ids = seen
    near, far = span(body, rays)
    hit = near < np.minimum(far, depth)
    hit &= near > NEAR
    np.copyto(depth, near, where=hit)
    np.copyto(ids, k, where=hit)


def _draw_all(solids: Solids, chosen: Ids, centre: Floats, boxes: Ids, seen: tuple[Floats, Floats, Ids]) -> None:
    """Enter solids into the depth and the ids of the image where they are nearer, the first of two that are level."""
    view, depth, ids = seen
    which, pixel = _pixels(boxes, view.shape[1])
    near, far = met(solids, chosen[which], np.take(centre, which, 1), np.take(view.reshape(3, -1), pixel, 1))
    hit = (near < np.minimum(far, depth.ravel()[pixel])) & (near > NEAR)
    which, pixel, near = which[hit], pixel[hit], near[hit]
    np.minimum.at(depth.reshape(-1), pixel, near)
    first = np.flatnonzero(near == depth.ravel()[pixel])[::-1]
    ids.reshape(-1)[pixel[first]] = chosen[which[first]]


def _pixels(boxes: Ids, size: int) -> tuple[Ids, Ids]:
    """Return all pairs of a box (top, bottom, left, right) and a pixel in it, as the numbers of both."""
    top, bottom, left, right = boxes.T
    width = right - left
    count = width * (bottom - top)
    which = np.repeat(np.arange(len(boxes)), count)
    row, column = np.divmod(np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count), width[which])
    return which, (top[which] + row) * size + left[which] + column
