"""Placing pieces in a room by trial.

A piece is put where its floor area meets no other and leaves the camera some air; what hangs on a wall must not meet
what hangs or stands there. The camera is near z = 0 and looks towards the other three walls, so only these are used.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from winnow.data.scenes.camera import Camera
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.parts import Piece, Placed, SolidPart, Vector, moved_part, placed

TRIALS = 7
BACK, LEFT, RIGHT = 0, 1, 2
YAWS = (math.pi, math.pi / 2, -math.pi / 2)
TALL = 1.25


class Area(NamedTuple):
    """An axis-aligned rectangle, on the floor or on a wall, in metres."""

    left: float
    right: float
    low: float
    high: float

    def meets(self, other: "Area") -> bool:
        """Whether the two overlap."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.high <= other.low or other.high <= self.low)


class Spot(NamedTuple):
    """A place at a wall: which, how far along it, and the point on the floor there with the yaw to face the room."""

    wall: int
    along: float
    x: float
    z: float
    yaw: float


class RoomLayout:
    """A room being furnished: `pieces` grows as `against`, `hang` and `stand` find room."""

    def __init__(self, dice: Dice, extent: Vector, camera: Camera) -> None:
        self.dice, self.extent = dice, extent
        self.eye = (camera.position[0], camera.position[2])
        x, z = self.eye
        ahead = (x + 0.45 * camera.forward[0], z + 0.45 * camera.forward[2])
        self.pieces: list[Placed] = []
        self.floor = [Area(x - 0.35, x + 0.35, z - 0.35, z + 0.35)]
        self.floor.append(Area(ahead[0] - 0.4, ahead[0] + 0.4, ahead[1] - 0.4, ahead[1] + 0.4))
        self.walls: tuple[list[Area], list[Area], list[Area]] = ([], [], [])

    def spot(self, wall: int, along: float, offset: float = 0.0) -> Spot:
        """Return the place `along` a wall, `offset` metres off it."""
        width, _, length = self.extent
        x, z = ((along, length - offset), (offset, along), (width - offset, along))[wall]
        return Spot(wall, along, x, z, YAWS[wall])

    def against(self, piece: Piece, walls: Iterable[int] = (BACK, LEFT, RIGHT)) -> Spot | None:
        """Stand a piece with its back against one of the walls; return where, or None where there is no room."""
        options = tuple(walls)
        for _ in range(TRIALS):
            wall = self.dice.pick(options)
            span = self.extent[0] if wall == BACK else self.extent[2]
            low = piece.width / 2 + 0.02
            if span < 2 * low:
                continue
            spot = self.spot(wall, self.dice.between(low, span - low), 0.015)
            if self.beside(piece, spot):
                return spot
        return None

    def beside(self, piece: Piece, spot: Spot) -> bool:
        """Stand a piece at this very spot if it is free."""
        half = piece.width / 2
        floor = self._floor(spot, half, piece.depth)
        hung = Area(spot.along - half, spot.along + half, 0, piece.height)
        outside = spot.along - half < 0 or spot.along + half > (self.extent[0] if spot.wall == BACK else self.extent[2])
        if outside or not self._free(floor, piece.height) or any(hung.meets(a) for a in self.walls[spot.wall]):
            return False
        self.floor.append(floor)
        self.walls[spot.wall].append(hung)
        self.pieces.append(placed(piece.parts, spot.x, spot.z, spot.yaw))
        return True

    def hang(self, piece: Piece, low: float, walls: Iterable[int] = (BACK, LEFT, RIGHT)) -> Spot | None:
        """Hang a piece with its lower edge `low` metres above the floor; return where, or None."""
        options = tuple(walls)
        for _ in range(TRIALS):
            wall = self.dice.pick(options)
            span, half = self.extent[0] if wall == BACK else self.extent[2], piece.width / 2 + 0.08
            along = self.dice.between(half, span - half)
            area = Area(along - half, along + half, low - 0.05, low + piece.height + 0.02)
            if 2 * half > span or any(area.meets(a) for a in self.walls[wall]):
                continue
            self.walls[wall].append(area)
            spot = self.spot(wall, along)
            self.pieces.append(placed(moved_part(piece.parts, 0, low, 0), spot.x, spot.z, spot.yaw))
            return spot
        return None

    def stand(self, piece: Piece, x: float, z: float, yaw: float) -> bool:
        """Stand a piece freely, its middle at (x, z), if its circumscribed square is free and inside the room."""
        slant = abs(math.sin(2 * yaw))
        wide, deep = (piece.width, piece.depth) if abs(math.cos(yaw)) > 0.7 else (piece.depth, piece.width)
        wide, deep = wide / 2 + slant * deep * 0.2, deep / 2 + slant * wide * 0.2
        area = Area(x - wide, x + wide, z - deep, z + deep)
        width, _, length = self.extent
        inside = area.left > 0.02 and area.right < width - 0.02 and area.low > 0 and area.high < length - 0.02
        if not inside or not self._free(area, piece.height):
            return False
        self.floor.append(area)
        self.pieces.append(placed(moved_part(piece.parts, 0, 0, -piece.depth / 2), x, z, yaw))
        return True

    def add(self, parts: list[SolidPart], x: float, z: float, yaw: float) -> None:
        """Put parts where nothing needs to be free: on a table, on the ceiling, a rug under the furniture."""
        if parts:
            self.pieces.append(placed(parts, x, z, yaw))

    def _free(self, area: Area, height: float) -> bool:
        x, z = self.eye
        gap = math.hypot(max(area.left - x, 0, x - area.right), max(area.low - z, 0, z - area.high))
        return gap > (1.4 if height > TALL else 0.5) and not any(area.meets(other) for other in self.floor)

    def _floor(self, spot: Spot, half: float, depth: float) -> Area:
        width, _, length = self.extent
        if spot.wall == BACK:
            return Area(spot.along - half, spot.along + half, length - depth, length)
        low, high = spot.along - half, spot.along + half
        return Area(0, depth, low, high) if spot.wall == LEFT else Area(width - depth, width, low, high)
