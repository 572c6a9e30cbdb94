"""Where rays meet solids.

Every solid is convex, so that a ray t r from the origin is inside it for one interval of t, which `span` returns as
(near, far); far ≤ near means a miss. With c the centre and h the half extents, in the frame of the solid:

- box: t = c / r ± h / |r| for each axis; near is the greatest entry, far the least exit;
- ellipsoid: a t² − 2 b t + e = 0 with a = |r / h|², b = c / h · r / h, e = |c / h|² − 1;
- frustum: x² + z² ≤ h_x² (1 + taper · s)², s = (y − c_y) / h_y, cut by |s| ≤ 1. A ray steeper than the side is inside
  the double cone outside its two roots, of which |taper| < 1 keeps the half that widens along the ray, or narrows.

All rays of a camera or a lamp start at one point. Taking it as the origin makes everything about a solid that no
direction enters a number instead of an array.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats
from winnow.data.scenes.parts import Shape

Mask = NDArray[np.bool_]
Turn = Floats | np.floating[Any]
Shapes = NDArray[np.int64]
SHAPES = (Shape.BOX, Shape.ELLIPSOID, Shape.FRUSTUM)
FLAT = np.float32(1e-7)


class Rays(NamedTuple):
    """Directions (3, …) of rays from the origin, with 1 / direction and its absolute value."""

    direction: Floats
    inverse: Floats
    reach: Floats

    def between(self, low: int, high: int) -> "Rays":
        """Return the rays (3, high − low) low ≤ k < high of a row."""
        return Rays(self.direction[:, low:high], self.inverse[:, low:high], self.reach[:, low:high])

    def cut(self, rows: slice, columns: slice) -> "Rays":
        """Return the rays (3, H, W) through some rows and columns of the image."""
        pixels = (slice(None), rows, columns)
        return Rays(self.direction[pixels], self.inverse[pixels], self.reach[pixels])


class Body(NamedTuple):
    """A solid for each ray, or one for all: its shape, centre and half extents (3, …) in its frame, taper (…)."""

    shape: int
    centre: Floats
    half: Floats
    taper: Floats


def beam(direction: Floats) -> Rays:
    """Return the rays; components of the direction are kept away from zero."""
    direction = np.copysign(np.maximum(np.abs(direction), FLAT), direction)
    inverse = 1 / direction
    return Rays(direction, inverse, np.abs(inverse))


def rotated(vectors: Floats, cosine: Turn, sine: Turn) -> Floats:
    """Return vectors (3, …) of the room in a frame rotated by an angle; with −sine, the reverse."""
    x, y, z = vectors
    out = np.empty(vectors.shape, vectors.dtype)
    out[0], out[1], out[2] = cosine * x - sine * z, y, sine * x + cosine * z
    return out


def span(body: Body, rays: Rays) -> tuple[Floats, Floats]:
    """Return where each ray enters and leaves the solid."""
    if body.shape == Shape.ELLIPSOID:
        return _ellipsoid(body, rays.direction)
    if body.shape == Shape.FRUSTUM:
        return _frustum(body, rays.direction)
    middle, reach = body.centre * rays.inverse, body.half * rays.reach
    near = middle - reach
    middle += reach
    return near.max(0), middle.min(0)


def spans(shapes: Shapes, centre: Floats, half: Floats, taper: Floats, rays: Rays) -> tuple[Floats, Floats]:
    """Return where the nth ray enters and leaves the nth solid; solids come ordered by shape."""
    near, far = np.empty((2, len(shapes)), np.float32)
    ends = np.searchsorted(shapes, SHAPES, "right").tolist()
    for shape, low, high in zip(SHAPES, [0, *ends], ends, strict=False):
        if low < high:
            body = Body(shape, centre[:, low:high], half[:, low:high], taper[low:high])
            near[low:high], far[low:high] = span(body, rays.between(low, high))
    return near, far


def _ellipsoid(body: Body, direction: Floats) -> tuple[Floats, Floats]:
    direction, centre = direction / body.half, body.centre / body.half
    square = (centre * centre).sum(0)
    return _roots((direction * direction).sum(0), (direction * centre).sum(0), square - 1)


def _frustum(body: Body, direction: Floats) -> tuple[Floats, Floats]:
    x, y, z = body.centre
    u, v, w = direction
    slope = body.half[0] * body.taper / body.half[1]
    radius, climb = body.half[0] - slope * y, slope * v
    a = u * u + w * w - climb * climb
    near, far = _roots(a + np.copysign(FLAT, a), x * u + z * w + radius * climb, x * x + z * z - radius * radius)
    if (a < 0).any():
        near, far = _steep(a < 0, climb > 0, near, far)
    middle, reach = y / v, body.half[1] / np.abs(v)
    return np.maximum(near, middle - reach), np.minimum(far, middle + reach)


def _steep(steep: Mask, widening: Mask, near: Floats, far: Floats) -> tuple[Floats, Floats]:
    """Return the interval inside the cone itself for rays steeper than its side, inside its mirror image too."""
    missed = far == -np.inf
    first, last = np.minimum(near, far), np.maximum(near, far)
    entry = np.where(missed | ~widening, -np.inf, last)
    leave = np.where(missed | widening, np.inf, first)
    return np.where(steep, entry, near), np.where(steep, leave, far)


def _roots(a: Floats, b: Floats, e: Floats) -> tuple[Floats, Floats]:
    """Return the roots of a t² − 2 b t + e, where it has none an empty interval."""
    square = b * b - a * e
    root = np.sqrt(np.maximum(square, 0))
    near, far = (b - root) / a, (b + root) / a
    far[square <= 0] = -np.inf
    return near, far
