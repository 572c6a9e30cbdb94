"""Furniture is a list of parts: boxes, ellipsoids and upright frusta in a frame that turns about the vertical axis.

World axes: x along the width of the room, y up from the floor, z along its length. A piece of furniture is built
around its own origin, its back at z = 0 and its front towards +z, and is then turned and moved. Turns by quarters
only exchange extents, so that whatever stands parallel to a wall lives in the frame of the room; each other yaw is a
frame of its own, in which the parts are aligned with the axes again:

    x_world = x cos θ + z sin θ,    z_world = −x sin θ + z cos θ.
"""

import math
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from winnow.data.scenes.labels import Label
from winnow.data.scenes.paints import Paint

Vector = tuple[float, float, float]


class Shape(IntEnum):
    """The kinds of solids; a ROOM is a box seen from inside."""

    BOX = 0
    ELLIPSOID = 1
    FRUSTUM = 2
    ROOM = 3


class SolidPart(NamedTuple):
    """A solid: its centre, half extents in metres, class and paint.

    The radius of a frustum at relative height s ∈ [−1, 1] is half_x (1 + taper · s), |taper| < 1.
    """

    shape: Shape
    centre: Vector
    half: Vector
    label: Label
    paint: Paint
    taper: float = 0.0


class Piece(NamedTuple):
    """Parts that stand together, with the floor space and the height they take in metres."""

    parts: list[SolidPart]
    width: float
    depth: float
    height: float


class Placed(NamedTuple):
    """The parts of a piece in the frame turned by `yaw` radians, |yaw| ≤ π/4."""

    yaw: float
    parts: list[SolidPart]


def box(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], label: Label, paint: Paint
) -> SolidPart:
    """Return the box between the given limits."""
    centre = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)
    half = ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2)
    return SolidPart(Shape.BOX, centre, half, label, paint)


def ball(centre: Vector, radii: Vector, label: Label, paint: Paint) -> SolidPart:
    """Return an ellipsoid."""
    return SolidPart(Shape.ELLIPSOID, centre, radii, label, paint)


def tube(foot: Vector, height: float, radii: tuple[float, float], label: Label, paint: Paint) -> SolidPart:
    """Return the upright frustum on `foot` with the radii of its bottom and top."""
    x, y, z = foot
    mean = (radii[0] + radii[1]) / 2
    taper = (radii[1] - radii[0]) / (radii[1] + radii[0])
    return SolidPart(Shape.FRUSTUM, (x, y + height / 2, z), (mean, height / 2, mean), label, paint, taper)


def moved_part(parts: Iterable[SolidPart], x: float, y: float, z: float) -> list[SolidPart]:
    """Return the parts shifted."""
    return [SolidPart(s, (a + x, b + y, c + z), half, label, paint, t) for s, (a, b, c), half, label, paint, t in parts]


def turned(parts: Iterable[SolidPart], quarters: int) -> list[SolidPart]:
    """Return the parts turned by quarters of a full turn, from +z towards +x."""
    return [_turned(part, quarters % 4) for part in parts]


def _turned(part: SolidPart, quarters: int) -> SolidPart:
    shape, (x, y, z), (a, b, c), label, paint, taper = part
    if quarters % 2 == 0:
        sign = 1 - quarters
        return SolidPart(shape, (sign * x, y, sign * z), part.half, label, paint, taper)
    sign = 2 - quarters
    return SolidPart(shape, (sign * z, y, -sign * x), (c, b, a), label, paint, taper)


def placed(parts: Iterable[SolidPart], x: float, z: float, yaw: float) -> Placed:
    """Return the parts turned by `yaw` radians and moved to (x, 0, z) in the room."""
    quarters = round(yaw / (math.pi / 2))
    rest = round(yaw - quarters * math.pi / 2, 6)
    cosine, sine = math.cos(rest), math.sin(rest)
    return Placed(rest, moved_part(turned(parts, quarters), x * cosine - z * sine, 0.0, x * sine + z * cosine))
