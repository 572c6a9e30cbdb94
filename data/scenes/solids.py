"""Where rays meet solids.

Every solid is convex, so that a ray p + t r is inside it for one interval of t, which `span` returns as (near, far);
far ≤ near means a miss. With c the centre and h the half extents, in the frame of the solid:

- box: t = (c ± h − p) / r for each axis; near is the greatest entry, far the least exit;
- ellipsoid: a t² + 2 b t + e = 0 with a = |r / h|², b = (p − c) / h · r / h, e = |(p − c) / h|² − 1;
- frustum: x² + z² ≤ h_x² (1 + taper · s)², s = (y − c_y) / h_y, cut by |s| ≤ 1. A ray steeper than the side is inside
  the double cone outside its two roots, of which |taper| < 1 keeps the half that widens along the ray, or narrows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.scenes.camera import Floats
from data.scenes.parts import Shape

Mask = NDArray[np.bool_]
FLAT = np.float32(1e-7)


class Rays(NamedTuple):
    """Origins and directions (3, H, W) with 1 / direction and origin / direction."""

    origin: Floats
    direction: Floats
    inverse: Floats
    moment: Floats


class Body(NamedTuple):
    """A solid in its frame: shape, bounds centre ∓ half (3, 1, 1), the numbers `centre` and `half`, taper."""

    shape: int
    low: Floats
    high: Floats
    centre: list[float]
    half: list[float]
    taper: float


def beam(origin: Floats, direction: Floats) -> Rays:
    """Return the rays; components of the direction are kept away from zero."""
    direction = np.copysign(np.maximum(np.abs(direction), FLAT), direction)
    inverse = 1 / direction
    return Rays(origin, direction, inverse, origin * inverse)


def turned(vectors: Floats, yaw: float) -> Floats:
    """Return vectors (3, …) of the room in the frame turned by `yaw` radians."""
    if yaw == 0:
        return vectors
    cosine, sine = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    x, y, z = vectors
    return np.stack([cosine * x - sine * z, y, sine * x + cosine * z])


def span(body: Body, rays: Rays, rectangle: list[int]) -> tuple[Floats, Floats]:
    """Return where the rays through the pixels (top, bottom, left, right) enter and leave a solid."""
    top, bottom, left, right = rectangle
    pixels = (slice(None), slice(top, bottom), slice(left, right))
    if body.shape == Shape.ELLIPSOID:
        return _ellipsoid(body, rays.origin[pixels], rays.direction[pixels])
    if body.shape == Shape.FRUSTUM:
        return _frustum(body, rays.origin[pixels], rays.direction[pixels])
    inverse, moment = rays.inverse[pixels], rays.moment[pixels]
    first = body.low * inverse
    first -= moment
    second = body.high * inverse
    second -= moment
    near = np.minimum(first, second)
    far = np.maximum(first, second, out=second)
    return near.max(0), far.min(0)


def _ellipsoid(body: Body, origin: Floats, direction: Floats) -> tuple[Floats, Floats]:
    scale = 2 / (body.high - body.low)
    direction = direction * scale
    offset = (origin - (body.low + body.high) / 2) * scale
    a, b, e = (direction * direction).sum(0), (direction * offset).sum(0), (offset * offset).sum(0)
    return _roots(a, b, e - 1)


def _frustum(body: Body, origin: Floats, direction: Floats) -> tuple[Floats, Floats]:
    x, y, z = (origin[k] - np.float32(body.centre[k]) for k in range(3))
    u, v, w = direction
    slope = np.float32(body.half[0] * body.taper / body.half[1])
    radius = np.float32(body.half[0]) + slope * y
    climb = slope * v
    a = u * u + w * w - climb * climb
    near, far = _roots(a + np.copysign(FLAT, a), x * u + z * w - radius * climb, x * x + z * z - radius * radius)
    if (a < 0).any():
        near, far = _steep(a < 0, climb > 0, near, far)
    middle, reach = -y / v, np.float32(body.half[1]) / np.abs(v)
    return np.maximum(near, middle - reach), np.minimum(far, middle + reach)


def _steep(steep: Mask, widening: Mask, near: Floats, far: Floats) -> tuple[Floats, Floats]:
    """Return the interval inside the cone itself for rays steeper than its side, inside its mirror image too."""
    missed = far == -np.inf
    first, last = np.minimum(near, far), np.maximum(near, far)
    entry = np.where(missed | ~widening, -np.inf, last)
    leave = np.where(missed | widening, np.inf, first)
    return np.where(steep, entry, near), np.where(steep, leave, far)


def _roots(a: Floats, b: Floats, e: Floats) -> tuple[Floats, Floats]:
    square = b * b - a * e
    root = np.sqrt(np.maximum(square, 0))
    near, far = (-b - root) / a, (root - b) / a
    far[square <= 0] = -np.inf
    return near, far
