"""Shelves with books, cabinets, wardrobes, kitchen counters and refrigerators."""

from winnow.data.scenes import paints
from winnow.data.scenes.decor import ornament
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.paints import Paint, Texture
from winnow.data.scenes.parts import Piece, SolidPart, box, moved_part


def books(dice: Dice, width: float, height: float, depth: float) -> SolidPart:
    """Return a row of upright books as one box, its spines painted on; its left end is at x = 0."""
    row = Paint(Texture.BOOKS, (0.5, 0.45, 0.4), (0.02, 0.018, 0.015), dice.between(0.03, 0.05), seed=paints.seed(dice))
    return box((0, width), (0, height), (0, depth), Label.BOOKS, row)


def bookcase(dice: Dice) -> Piece:
    """Return an open bookcase, each bay holding books, an ornament or nothing."""
    half, bays = dice.between(0.4, 0.75), dice.count(3, 5)
    bay, depth, paint = dice.between(0.32, 0.4), dice.between(0.28, 0.34), paints.wood(dice)
    height = 0.08 + bays * bay + 0.03
    parts = [
        box((-half, 0.03 - half), (0, height), (0, depth), Label.FURNITURE, paint),
        box((half - 0.03, half), (0, height), (0, depth), Label.FURNITURE, paint),
        box((0.03 - half, half - 0.03), (0, height), (0, 0.02), Label.FURNITURE, paint),
    ]
    for k in range(bays + 1):
        low = 0.05 + k * bay
        parts.append(box((0.03 - half, half - 0.03), (low, low + 0.03), (0.02, depth), Label.FURNITURE, paint))
        if k < bays:
            parts += moved_part(_bay(dice, 2 * half - 0.08, bay - 0.05), 0.04 - half, low + 0.03, 0.04)
    return Piece(parts, 2 * half, depth, height)


def _bay(dice: Dice, width: float, height: float) -> list[SolidPart]:
    parts, filled = [], 0.0
    if dice.chance(0.8):
        filled = width * dice.between(0.35, 0.98)
        parts.append(books(dice, filled, height * dice.between(0.75, 1.0), dice.between(0.16, 0.2)))
    if width - filled > 0.2 and dice.chance(0.6):
        parts += moved_part(ornament(dice, min(height, 0.28)), (width + filled) / 2, 0.0, 0.11)
    return parts


def cabinet(dice: Dice, width: float, depth: float, height: float) -> Piece:
    """Return a cabinet, chest of drawers, night stand or wardrobe with a drawn front."""
    paint = paints.wood(dice) if dice.chance(0.7) else paints.uniform(paints.tint(dice, paints.PASTELS))
    half, row = width / 2, dice.between(0.2, 0.3) if height < 1.3 else height * 0.48
    front = Paint(Texture.DRAWERS, paint.first, paint.second, row, paint.gloss, seed=max(1, round(width / 0.55)))
    parts = [
        box((-half + 0.02, half - 0.02), (0, 0.08), (0, depth - 0.05), Label.FURNITURE, paint),
        box((-half, half), (0.08, height - 0.03), (0, depth), Label.FURNITURE, front),
        box((-half - 0.015, half + 0.015), (height - 0.03, height), (0, depth + 0.015), Label.FURNITURE, paint),
    ]
    return Piece(parts, width + 0.03, depth + 0.015, height)


def wall_shelf(dice: Dice) -> Piece:
    """Return a board on the wall with books or ornaments on it; its height counts from the board."""
    half, paint = dice.between(0.35, 0.6), paints.wood(dice)
    parts = [box((-half, half), (0, 0.03), (0, 0.22), Label.FURNITURE, paint)]
    parts += moved_part(_bay(dice, 2 * half - 0.04, 0.26), 0.02 - half, 0.03, 0.02)
    return Piece(parts, 2 * half, 0.22, 0.32)


def kitchen_units(dice: Dice, width: float) -> Piece:
    """Return a row of base units, a worktop, tiles and wall units."""
    colour = paints.tint(dice, paints.PASTELS + paints.WOODS)
    front = Paint(Texture.DRAWERS, colour, paints.shade(colour, 0.6), 0.78, 0.2, seed=max(2, round(width / 0.55)))
    upper = front._replace(scale=0.65)
    top = paints.uniform(paints.tint(dice, paints.STONES + paints.METALS), gloss=0.4)
    stone = paints.tint(dice, paints.PASTELS)
    tiles = Paint(Texture.TILES, stone, paints.shade(stone, 0.8), 0.12, 0.4, seed=paints.seed(dice))
    half, gap = width / 2, dice.between(1.4, 1.5)
    parts = [
        box((-half, half), (0, 0.1), (0, 0.52), Label.FURNITURE, paints.uniform((0.03, 0.03, 0.03))),
        box((-half, half), (0.1, 0.88), (0, 0.58), Label.FURNITURE, front),
        box((-half, half), (0.88, 0.92), (0, 0.62), Label.FURNITURE, top),
        box((-half, half), (0.92, gap), (0, 0.01), Label.WALL, tiles),
        box((-half, half), (gap, gap + 0.65), (0, 0.34), Label.FURNITURE, upper),
    ]
    for k in range(3):
        parts += moved_part(ornament(dice, 0.3), half * (0.65 * k - 0.6), 0.92, 0.3)
    return Piece(parts, width, 0.62, gap + 0.65)


def refrigerator(dice: Dice) -> Piece:
    """Return a refrigerator with two doors."""
    colour = paints.tint(dice, ("e8e8e6", "b9bcc0", "d8d2c8", "a33b32"))
    height = dice.between(1.6, 1.85)
    doors = Paint(Texture.DRAWERS, colour, paints.shade(colour, 0.5), height * 0.6, 0.5, seed=1)
    body = box((-0.31, 0.31), (0.04, height), (0, 0.6), Label.FURNITURE, doors)
    return Piece([body], 0.64, 0.62, height)
