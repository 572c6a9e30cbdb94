"""Small things: vases, bowls, plants, lamps, boxes, screens, piles of books, and what hangs on walls."""

import math

from winnow.data.scenes import paints
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.paints import Paint, Texture
from winnow.data.scenes.parts import Piece, SolidPart, ball, box, tube

WARM = (1.0, 0.78, 0.5)


def ornament(dice: Dice, height: float) -> list[SolidPart]:
    """Return a vase, a ball, a box, a pot plant or a bowl, at most `height` tall, around the origin."""
    kind = dice.count(0, 4)
    paint = paints.uniform(paints.tint(dice, paints.VIVIDS + paints.PASTELS), gloss=dice.between(0, 0.5))
    size = height * dice.between(0.6, 0.95)
    if kind == 0:
        neck = tube((0, size * 0.6, 0), size * 0.4, (size * 0.14, size * 0.2), Label.OBJECTS, paint)
        return [ball((0, size * 0.38, 0), (size * 0.3, size * 0.38, size * 0.3), Label.OBJECTS, paint), neck]
    if kind == 1:
        return [ball((0, size * 0.36, 0), (size * 0.36,) * 3, Label.OBJECTS, paint)]
    if kind == 2:
        half = size * dice.between(0.25, 0.45)
        return [box((-half, half), (0, size * 0.7), (-size * 0.25, size * 0.25), Label.OBJECTS, paint)]
    if kind == 3:
        return plant(dice, size)
    bowl = tube((0, 0, 0), size * 0.3, (size * 0.2, size * 0.48), Label.OBJECTS, paint)
    fruit = paints.uniform(paints.tint(dice, ("d98e32", "a5b536", "b5322b")))
    return [bowl, ball((0, size * 0.3, 0), (size * 0.36, size * 0.14, size * 0.36), Label.OBJECTS, fruit)]


def plant(dice: Dice, height: float) -> list[SolidPart]:
    """Return a pot with foliage of three ellipsoids."""
    pot = paints.uniform(paints.tint(dice, ("a5603c", "d8d2c8", "5a5f66", "8a9a8a")))
    green = paints.tint(dice, ("4c7a35", "2f5a2c", "6b8f45"))
    leaves = Paint(Texture.FOLIAGE, green, paints.shade(green, 0.35), 0.04, seed=paints.seed(dice))
    rim = height * 0.16
    parts = [tube((0, 0, 0), height * 0.34, (rim * 0.75, rim), Label.OBJECTS, pot)]
    for k in range(3):
        angle, spread = 2.1 * k + dice.between(0, 1), height * 0.1
        centre = (spread * math.cos(angle), height * (0.52 + 0.14 * k), spread * math.sin(angle))
        parts.append(ball(centre, (height * 0.2, height * 0.2, height * 0.2), Label.OBJECTS, leaves))
    return parts


def table_lamp(dice: Dice, lit: bool) -> list[SolidPart]:
    """Return a lamp with a conical shade."""
    foot, shade = paints.uniform(paints.tint(dice, paints.VIVIDS), 0.4), paints.uniform(WARM, glow=1.0 if lit else 0.15)
    return [
        ball((0, 0.1, 0), (0.07, 0.1, 0.07), Label.OBJECTS, foot),
        tube((0, 0.2, 0), 0.06, (0.015, 0.015), Label.OBJECTS, foot),
        tube((0, 0.25, 0), 0.2, (0.15, 0.09), Label.OBJECTS, shade),
    ]


def floor_lamp(dice: Dice, lit: bool) -> Piece:
    """Return a standing lamp."""
    frame, height = paints.metal(dice), dice.between(1.4, 1.7)
    shade = paints.uniform(WARM, glow=1.0 if lit else 0.15)
    parts = [
        tube((0, 0, 0.2), 0.03, (0.15, 0.14), Label.OBJECTS, frame),
        tube((0, 0.03, 0.2), height - 0.25, (0.018, 0.018), Label.OBJECTS, frame),
        tube((0, height - 0.3, 0.2), 0.3, (0.22, 0.15), Label.OBJECTS, shade),
    ]
    return Piece(parts, 0.44, 0.44, height)


def ceiling_lamp(dice: Dice, height: float, lit: bool) -> list[SolidPart]:
    """Return a lamp on a ceiling at this height: a dish, a globe or a cone on a cord."""
    kind, shade = dice.count(0, 2), paints.uniform((0.95, 0.9, 0.8), glow=1.0 if lit else 0.2)
    if kind == 0:
        return [tube((0, height - 0.08, 0), 0.08, (0.2, 0.24), Label.OBJECTS, shade)]
    drop = dice.between(0.25, 0.5)
    cord = tube((0, height - drop, 0), drop, (0.012, 0.012), Label.OBJECTS, paints.uniform((0.05, 0.05, 0.05)))
    if kind == 1:
        return [cord, ball((0, height - drop - 0.12, 0), (0.15, 0.15, 0.15), Label.OBJECTS, shade)]
    return [cord, tube((0, height - drop - 0.2, 0), 0.22, (0.24, 0.08), Label.OBJECTS, shade)]


def screen(dice: Dice, width: float, stand: bool) -> list[SolidPart]:
    """Return a television or monitor, its back at z = 0 and its lower edge, or foot, at y = 0."""
    on = dice.chance(0.5)
    face = Paint(Texture.SCREEN, (0.012, 0.012, 0.014), (0.3, 0.35, 0.45), 1, 0.8, 0.6 * on, paints.seed(dice))
    half, low = width / 2, 0.09 if stand else 0.0
    panel = box((-half, half), (low, low + width * 0.58), (0, 0.05), Label.TV, face)
    if not stand:
        return [panel]
    foot = paints.uniform((0.02, 0.02, 0.02), 0.4)
    return [
        panel,
        box((-0.04, 0.04), (0.02, low), (0, 0.04), Label.TV, foot),
        box((-half * 0.45, half * 0.45), (0, 0.02), (-0.07, 0.12), Label.TV, foot),
    ]


def pile(dice: Dice) -> list[SolidPart]:
    """Return two to four books lying on one another."""
    parts, low = [], 0.0
    for _ in range(dice.count(2, 4)):
        x, z, thick = dice.between(0.1, 0.14), dice.between(0.08, 0.11), dice.between(0.02, 0.045)
        cover = paints.uniform(paints.tint(dice, paints.VIVIDS + paints.FABRICS))
        parts.append(box((-x, x), (low, low + thick), (-z, z), Label.BOOKS, cover))
        low += thick
    return parts


def laptop(dice: Dice) -> list[SolidPart]:
    """Return an open laptop, its screen towards +z."""
    body = paints.metal(dice)
    face = Paint(Texture.SCREEN, (0.02, 0.02, 0.02), (0.4, 0.45, 0.5), 1, 0.6, 0.6, paints.seed(dice))
    return [
        box((-0.17, 0.17), (0, 0.02), (-0.1, 0.13), Label.OBJECTS, body),
        box((-0.17, 0.17), (0.02, 0.24), (-0.12, -0.1), Label.OBJECTS, face),
    ]


def picture(dice: Dice) -> Piece:
    """Return a framed picture, its lower edge at y = 0."""
    width, height = dice.pick(((0.6, 0.45), (0.9, 0.6), (0.45, 0.6), (1.2, 0.7), (0.5, 0.5), (0.7, 0.95)))
    size = dice.between(0.8, 1.15)
    frame = paints.tint(dice, (*paints.WOODS, "1f1f21", "e8e2d2", "b8963e"))
    face = Paint(Texture.PICTURE, paints.tint(dice, paints.VIVIDS), frame, 1, 0.2, seed=paints.seed(dice))
    half = width * size / 2
    part = box((-half, half), (0, height * size), (0, 0.035), Label.PICTURE, face)
    return Piece([part], 2 * half, 0.035, height * size)


def window(dice: Dice, height: float, day: bool) -> Piece:
    """Return a window `height` tall with frame, sill and, often, curtains; its lower edge is at y = 0."""
    half, bright = dice.between(0.45, 0.95), 1.0 if day else 0.12
    glass = Paint(Texture.WINDOW, (0.75, 0.85, 1.0), (0.2, 0.3, 0.12), 1, 1.0, bright, paints.seed(dice))
    white = paints.uniform(paints.linear("e6e3dc"), 0.2)
    parts = [
        box((-half, half), (0, height), (0, 0.03), Label.WINDOW, glass),
        box((-half - 0.06, half + 0.06), (-0.04, 0), (0, 0.12), Label.WINDOW, white),
    ]
    if dice.chance(0.55):
        colour = paints.tint(dice, paints.FABRICS + paints.PASTELS)
        cloth = Paint(Texture.FOLDS, colour, paints.shade(colour, 0.45), dice.between(0.1, 0.16), seed=0)
        low, wide = dice.pick((-0.12, 0.06 - height * 0.5)), half * dice.between(0.25, 0.5)
        lefts = (-half - 0.12, half + 0.12 - wide)
        parts += [box((x, x + wide), (low, height + 0.1), (0.05, 0.1), Label.WINDOW, cloth) for x in lefts]
        rod = box(
            (-half - 0.2, half + 0.2), (height + 0.08, height + 0.11), (0.06, 0.09), Label.WINDOW, paints.metal(dice)
        )
        parts.append(rod)
    return Piece(parts, 2 * half + 0.3, 0.1, height + 0.15)


def door(dice: Dice) -> Piece:
    """Return a closed door with its knob."""
    colour = paints.tint(dice, (*paints.WOODS, "e6e3dc", "d8d2c6"))
    leaf = Paint(Texture.PANELS, colour, paints.shade(colour, 0.55), 1, 0.15)
    trim = paints.uniform(paints.shade(colour, 1.15))
    knob = paints.uniform((0.5, 0.45, 0.35), 0.8)
    parts = [
        box((-0.48, 0.48), (0, 2.08), (0, 0.03), Label.WALL, trim),
        box((-0.41, 0.41), (0, 2.02), (0.03, 0.045), Label.WALL, leaf),
        ball((0.34, 1.0, 0.08), (0.035, 0.035, 0.035), Label.WALL, knob),
    ]
    return Piece(parts, 1.0, 0.05, 2.1)
