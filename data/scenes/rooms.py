"""Rooms: their size, paints and lights, and what hangs on their walls."""

import math

from winnow.data.scenes import decor, furnishing, paints, storage
from winnow.data.scenes.camera import placed_camera
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.layout import BACK, LEFT, RIGHT, RoomLayout, Spot
from winnow.data.scenes.paints import Colour, Paint
from winnow.data.scenes.parts import Placed
from winnow.data.scenes.scene import Light, Scene

KINDS = (
    furnishing.bedroom, furnishing.bedroom, furnishing.living_room, furnishing.living_room, furnishing.home_office,
    furnishing.dining_room, furnishing.kitchen,
)  # fmt: skip
DAYLIGHT = ((1.0, 1.0, 1.0), (0.86, 0.94, 1.1), (1.1, 0.98, 0.82))
WARM = (1.0, 0.8, 0.58)


def draw_room(dice: Dice) -> Scene:
    """Return a furnished room with its lights and a camera in it."""
    extent = (dice.between(2.8, 4.9), dice.between(2.35, 2.8), dice.between(3.4, 5.6))
    camera = placed_camera(dice, extent)
    layout, day = RoomLayout(dice, extent, camera), dice.chance(0.72)
    if dice.chance(0.35):
        layout.beside(decor.door(dice), _doorway(layout, dice))
    openings = _windows(layout, dice, day) if dice.chance(0.5) else []
    dice.pick(KINDS)(layout, dice)
    if not openings:
        openings = _windows(layout, dice, day)
    _decorate(layout, dice)
    furnishing.clutter(layout, dice)
    lit = not (day and openings) or dice.chance(0.55)
    lamp = (extent[0] * dice.between(0.42, 0.58), extent[2] * dice.between(0.42, 0.62))
    layout.add(decor.ceiling_lamp(dice, extent[1], lit), *lamp, 0.0)
    daylight = dice.pick(DAYLIGHT)
    lights = [_daylight(spot, daylight, dice.between(1.1, 1.8)) for spot in openings if day]
    lights += _lamps(layout.pieces)
    ambient = _ambient(dice, daylight if day and openings else WARM)
    return Scene(extent, _surfaces(dice), tuple(layout.pieces), tuple(lights), ambient, camera)


def _doorway(layout: RoomLayout, dice: Dice) -> Spot:
    wall = dice.pick((BACK, LEFT, RIGHT))
    span = layout.extent[0] if wall == BACK else layout.extent[2]
    return layout.spot(wall, dice.between(0.6, span - 0.6))


def _windows(layout: RoomLayout, dice: Dice, day: bool) -> list[Spot]:
    out = []
    for _ in range(dice.count(1, 2)):
        low = dice.between(0.85, 1.05)
        height = dice.between(0.9, min(1.3, layout.extent[1] - low - 0.3))
        spot = layout.hang(decor.window(dice, height, day), low)
        if spot is not None:
            out.append(spot)
    return out


def _decorate(layout: RoomLayout, dice: Dice) -> None:
    for _ in range(dice.count(1, 3)):
        layout.hang(decor.picture(dice), dice.between(1.15, 1.4))
    if dice.chance(0.3):
        layout.hang(storage.wall_shelf(dice), dice.between(1.2, 1.6))


def _surfaces(dice: Dice) -> tuple[Paint, ...]:
    wall = paints.walls(dice, accent=False)
    accent = paints.walls(dice, accent=True) if dice.chance(0.3) else wall
    sides = [wall] * 4
    sides[dice.pick((0, 1, 3))] = accent
    ceiling = paints.uniform(paints.tint(dice, ("f2f0ea", "e8e6e0", "efe9dc"), 0.05))
    return (sides[0], sides[1], paints.floors(dice), ceiling, sides[2], sides[3])


def _daylight(spot: Spot, colour: Colour, power: float) -> Light:
    inward = (math.sin(spot.yaw), 0.0, math.cos(spot.yaw))
    position = (spot.x + 0.12 * inward[0], 1.5, spot.z + 0.12 * inward[2])
    red, green, blue = (power * channel for channel in colour)
    return Light(position, (red, green, blue), 2.2, inward)


def _lamps(pieces: list[Placed]) -> list[Light]:
    lit = [(p.yaw, part) for p in pieces for part in p.parts if part.paint.glow == 1 and part.label == Label.OBJECTS]
    out = []
    for yaw, part in lit:
        x, y, z = part.centre
        cosine, sine = math.cos(yaw), math.sin(yaw)
        hanging = y > 1.7
        power = 1.0 if hanging else 0.3
        position = (x * cosine + z * sine, y - (0.12 if hanging else 0.0), z * cosine - x * sine)
        colour = (WARM[0] * power, WARM[1] * power, WARM[2] * power) if not hanging else _white(power)
        out.append(Light(position, colour, 2.0 if hanging else 0.9, None, hanging))
    return out


def _white(power: float) -> Colour:
    return power, 0.92 * power, 0.78 * power


def _ambient(dice: Dice, colour: Colour) -> Colour:
    level = dice.between(0.16, 0.3)
    red, green, blue = (level * (0.5 + 0.5 * channel) for channel in colour)
    return red, green, blue
