"""The pinhole camera.

Camera axes: x right, y down, z forward, in metres, so that pixel (row, column) of an S × S image looks along

    r = ((2 column + 1) / S − 1) τ x + ((2 row + 1) / S − 1) τ y + z,    τ = tan(field of view / 2).

The ray is left unnormalised: the parameter t of a point p + t r is then its depth along the optical axis.
The axes of the world (x right, y up, z away) are left-handed, which nothing but this sentence depends on.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.dice import Dice
from winnow.data.scenes.parts import Vector

Floats = NDArray[np.floating[Any]]
NEAR = 0.05
CENTRE = 0.51  # of a pixel, with a margin for rounding


class Camera(NamedTuple):
    """A position, the unit vectors right, down and forward in world axes, and τ."""

    position: Vector
    right: Vector
    down: Vector
    forward: Vector
    spread: float


def look(position: Vector, target: Vector, roll: float, spread: float) -> Camera:
    """Return the camera at `position` that looks at `target`, rolled by `roll` radians."""
    x, y, z = (b - a for a, b in zip(position, target, strict=True))
    flat, length = math.hypot(x, z), math.sqrt(x * x + y * y + z * z)
    forward = (x / length, y / length, z / length)
    level = (z / flat, 0.0, -x / flat)
    sink = (x * y / (flat * length), -flat / length, z * y / (flat * length))
    cosine, sine = math.cos(roll), math.sin(roll)
    right = tuple(cosine * a + sine * b for a, b in zip(level, sink, strict=True))
    down = tuple(cosine * b - sine * a for a, b in zip(level, sink, strict=True))
    return Camera(position, (right[0], right[1], right[2]), (down[0], down[1], down[2]), forward, spread)


def placed_camera(dice: Dice, room: Vector) -> Camera:
    """Return a camera held near the wall z = 0 that looks across a room of this width, height and length."""
    width, height, length = room
    level = dice.between(1.25, 1.75) if dice.chance(0.75) else dice.between(0.8, height - 0.35)
    position = (width * dice.between(0.18, 0.82), level, length * dice.between(0.04, 0.16) + 0.1)
    target = (width * dice.between(0.12, 0.88), dice.between(0.45, 1.35), length * dice.between(0.65, 1.0))
    return look(position, target, dice.between(-0.03, 0.03), math.tan(math.radians(dice.between(54, 76) / 2)))


def rays(camera: Camera, size: int) -> Floats:
    """Return the world directions (3, S, S) of the rays through the pixels' centres."""
    ramp = ((2 * np.arange(size, dtype=np.float32) + 1) / size - 1) * np.float32(camera.spread)
    out = np.empty((3, size, size), np.float32)
    for k in range(3):
        out[k] = ramp[:, None] * camera.down[k] + (ramp * camera.right[k] + np.float32(camera.forward[k]))
    return out


def to_camera(camera: Camera, vectors: Floats) -> Floats:
    """Return vectors (3, …) in camera axes."""
    x, y, z = vectors
    axes = (camera.right, camera.down, camera.forward)
    return np.stack([a * x + b * y + c * z for a, b, c in axes])


def rectangles(camera: Camera, points: Floats, size: int) -> NDArray[np.int64]:
    """Return for each set of points (3, N, K) the pixels (N, 4) = top, bottom, left, right its hull may cover.

    Sets wholly behind the camera get an empty rectangle, sets partly behind it the whole image.
    """
    relative = points - np.asarray(camera.position, points.dtype)[:, None, None]
    x, y, z = to_camera(camera, relative)
    ahead = z > NEAR
    depth = np.where(ahead, z, 1.0)
    bounds = []
    for along in (y, x):
        pixel = (along / (depth * camera.spread) + 1) * (size / 2)
        bounds += [np.ceil(pixel.min(1) - CENTRE), np.floor(pixel.max(1) + CENTRE)]
    out = np.clip(np.stack(bounds, 1), 0, size)
    out[~ahead.all(1)] = (0, size, 0, size)
    out[~ahead.any(1)] = 0
    values: NDArray[np.int64] = out.astype(np.int64)
    return values
