"""Which furniture belongs in a bedroom, a living room, a study, a dining room and a kitchen."""

import math

from winnow.data.scenes import decor, paints, seating, storage
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.layout import BACK, LEFT, RIGHT, RoomLayout, Spot
from winnow.data.scenes.paints import Paint, Texture
from winnow.data.scenes.parts import Piece, SolidPart, box, moved_part

SLANTS = (0.0, 0.0, 0.0, 0.35, -0.3, 0.6)


def bedroom(layout: RoomLayout, dice: Dice) -> None:
    """Furnish with a bed between night stands, a wardrobe, drawers and perhaps a desk."""
    bed = seating.bed(dice)
    spot = layout.against(bed)
    if spot is not None:
        _night_stands(layout, dice, spot, bed.width)
        if dice.chance(0.5):
            _rug(layout, dice, *_ahead(spot, bed.depth * 0.75), spot.yaw)
    if dice.chance(0.6):
        layout.against(storage.cabinet(dice, dice.between(0.9, 1.7), 0.58, dice.between(1.8, 2.2)))
    if dice.chance(0.6):
        _drawers(layout, dice)
    if dice.chance(0.4):
        _desk(layout, dice)


def living_room(layout: RoomLayout, dice: Dice) -> None:
    """Furnish with a sofa, a low table on a rug, a television, armchairs and books."""
    sofa = seating.sofa(dice, dice.count(2, 3))
    spot = layout.against(sofa)
    if spot is not None:
        _coffee_table(layout, dice, spot, sofa.depth)
        opposite = (LEFT, RIGHT) if spot.wall == BACK else (RIGHT if spot.wall == LEFT else LEFT, BACK)
        _television(layout, dice, opposite)
    if dice.chance(0.6):
        layout.against(storage.bookcase(dice))
    for _ in range(dice.count(0, 2)):
        chair = seating.sofa(dice, 1)
        width, _, length = layout.extent
        layout.stand(chair, width * dice.between(0.2, 0.8), length * dice.between(0.35, 0.75), dice.between(0, 6.28))
    if dice.chance(0.5):
        layout.against(decor.floor_lamp(dice, dice.chance(0.6)))


def home_office(layout: RoomLayout, dice: Dice) -> None:
    """Furnish with desks and swivel chairs, bookcases and cabinets."""
    for _ in range(dice.count(1, 2)):
        _desk(layout, dice)
    for _ in range(dice.count(1, 2)):
        layout.against(storage.bookcase(dice))
    if dice.chance(0.5):
        _drawers(layout, dice)
    if dice.chance(0.35):
        layout.against(seating.sofa(dice, 2))


def dining_room(layout: RoomLayout, dice: Dice) -> None:
    """Furnish with a table in its ring of chairs, a sideboard and a bookcase."""
    _dining_table(layout, dice)
    if dice.chance(0.7):
        _drawers(layout, dice)
    if dice.chance(0.4):
        layout.against(storage.bookcase(dice))
    if dice.chance(0.3):
        layout.against(decor.floor_lamp(dice, dice.chance(0.6)))


def kitchen(layout: RoomLayout, dice: Dice) -> None:
    """Furnish with units along a wall, a refrigerator and a small table."""
    span = min(layout.extent[0], layout.extent[2])
    layout.against(storage.kitchen_units(dice, span * dice.between(0.5, 0.75)))
    if dice.chance(0.8):
        layout.against(storage.refrigerator(dice))
    if dice.chance(0.7):
        _dining_table(layout, dice)
    if dice.chance(0.3):
        _drawers(layout, dice)


def clutter(layout: RoomLayout, dice: Dice) -> None:
    """Put plants, balls and boxes on the floor."""
    width, _, length = layout.extent
    for _ in range(dice.count(1, 3)):
        size = dice.between(0.3, 0.6)
        parts = decor.plant(dice, 2 * size) if dice.chance(0.35) else decor.ornament(dice, size)
        piece = Piece(moved_part(parts, 0, 0, size / 2), size, size, size)
        layout.stand(piece, dice.between(0.3, width - 0.3), length * dice.between(0.3, 0.95), dice.pick(SLANTS))


def _ahead(spot: Spot, distance: float) -> tuple[float, float]:
    return spot.x + math.sin(spot.yaw) * distance, spot.z + math.cos(spot.yaw) * distance


def _on_top(layout: RoomLayout, dice: Dice, spot: Spot, piece: Piece, count: int) -> None:
    for k in range(count):
        slot = piece.width / count
        x = slot * (k + 0.5) - piece.width / 2 + dice.between(-0.15, 0.15) * slot
        x = max(min(x, piece.width / 2 - 0.16), 0.16 - piece.width / 2)
        parts = moved_part(_thing(dice), x, piece.height, piece.depth * dice.between(0.45, 0.6))
        layout.add(parts, spot.x, spot.z, spot.yaw)


def _thing(dice: Dice) -> list[SolidPart]:
    kind = dice.count(0, 5)
    if kind < 2:
        return decor.pile(dice)
    if kind == 2:
        return decor.table_lamp(dice, dice.chance(0.6))
    return decor.ornament(dice, dice.between(0.18, 0.38))


def _night_stands(layout: RoomLayout, dice: Dice, spot: Spot, width: float) -> None:
    for side in (-1, 1):
        stand = storage.cabinet(dice, 0.46, 0.38, dice.between(0.45, 0.6))
        along = spot.along + side * (width / 2 + 0.28)
        beside = layout.spot(spot.wall, along, 0.015)
        if dice.chance(0.8) and layout.beside(stand, beside):
            _on_top(layout, dice, beside, stand, 1)


def _drawers(layout: RoomLayout, dice: Dice) -> None:
    piece = storage.cabinet(dice, dice.between(0.8, 1.5), dice.between(0.4, 0.5), dice.between(0.75, 1.1))
    spot = layout.against(piece)
    if spot is not None:
        _on_top(layout, dice, spot, piece, dice.count(1, 3))


def _desk(layout: RoomLayout, dice: Dice) -> None:
    piece = seating.desk(dice)
    spot = layout.against(piece)
    if spot is None:
        return
    screen = decor.laptop(dice) if dice.chance(0.3) else decor.screen(dice, dice.between(0.48, 0.62), stand=True)
    layout.add(moved_part(screen, dice.between(-0.15, 0.15), piece.height, 0.2), spot.x, spot.z, spot.yaw)
    for side in (-1, 1):
        if dice.chance(0.7):
            thing = moved_part(_thing(dice), side * (piece.width / 2 - 0.17), piece.height, 0.25)
            layout.add(thing, spot.x, spot.z, spot.yaw)
    chair = seating.office_chair(dice)
    x, z = _ahead(spot, piece.depth + dice.between(0.2, 0.45))
    layout.stand(chair, x, z, spot.yaw + math.pi + dice.pick(SLANTS))


def _television(layout: RoomLayout, dice: Dice, walls: tuple[int, ...]) -> None:
    width = dice.between(0.9, 1.35)
    if dice.chance(0.3):
        layout.hang(Piece(decor.screen(dice, width, stand=False), width, 0.05, width * 0.58), 0.95, walls)
        return
    low = storage.cabinet(dice, width + dice.between(0.1, 0.5), 0.42, dice.between(0.4, 0.55))
    piece = Piece(
        low.parts + moved_part(decor.screen(dice, width, stand=True), 0, low.height, 0.16),
        low.width, low.depth, low.height + width * 0.58 + 0.1,
    )  # fmt: skip
    layout.against(piece, walls)


def _coffee_table(layout: RoomLayout, dice: Dice, spot: Spot, depth: float) -> None:
    size = dice.pick(((1.1, 0.55), (0.9, 0.5), (0.75, 0.75)))
    piece = seating.dining_table(dice, *size, dice.between(0.36, 0.45))
    x, z = _ahead(spot, depth + dice.between(0.3, 0.5) + size[1] / 2)
    if dice.chance(0.6):
        _rug(layout, dice, x, z, spot.yaw)
    if layout.stand(piece, x, z, spot.yaw):
        centre = Spot(spot.wall, 0.0, *_ahead(Spot(spot.wall, 0.0, x, z, spot.yaw), -size[1] / 2), spot.yaw)
        _on_top(layout, dice, centre, piece, dice.count(0, 2))


def _dining_table(layout: RoomLayout, dice: Dice) -> None:
    width, length = layout.extent[0], layout.extent[2]
    size = dice.pick(((1.4, 0.8), (1.1, 0.75), (1.7, 0.9), (1.1, 1.1)))
    piece, yaw = seating.dining_table(dice, *size, 0.75), dice.pick(SLANTS) + dice.pick((0.0, math.pi / 2))
    x, z = width * dice.between(0.35, 0.65), length * dice.between(0.5, 0.68)
    chairs = seating.ring(dice, *size)
    if dice.chance(0.35):
        _rug(layout, dice, x, z, yaw)
    if not layout.stand(piece, x, z, yaw):
        return
    corner = Spot(BACK, 0.0, x - math.sin(yaw) * size[1] / 2, z - math.cos(yaw) * size[1] / 2, yaw)
    _on_top(layout, dice, corner, piece, dice.count(0, 2))
    for parts, across, along in chairs:
        cosine, sine = math.cos(yaw), math.sin(yaw)
        spot = (x + across * cosine + along * sine, z - across * sine + along * cosine)
        if math.dist(spot, layout.eye) > 0.75:
            layout.add(parts, *spot, yaw)


def _rug(layout: RoomLayout, dice: Dice, x: float, z: float, yaw: float) -> None:
    half = (dice.between(0.8, 1.25), dice.between(0.6, 0.85))
    colour = paints.tint(dice, paints.FABRICS + paints.ACCENTS)
    other = paints.tint(dice, paints.PASTELS + paints.FABRICS)
    cloth = Paint(Texture.RUG, colour, other, dice.between(0.15, 0.35), seed=paints.seed(dice))
    turn = round(yaw / (math.pi / 2)) * (math.pi / 2)
    wide, deep = half if abs(math.cos(turn)) > 0.5 else (half[1], half[0])
    width, _, length = layout.extent
    x, z = min(max(x, wide), width - wide), min(max(z, deep), length - deep)
    layout.add([box((-half[0], half[0]), (0, 0.006), (-half[1], half[1]), Label.FLOOR, cloth)], x, z, turn)
