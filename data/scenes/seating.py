"""Beds, sofas, chairs and tables."""

from winnow.data.scenes import paints
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import Label
from winnow.data.scenes.paints import Paint, Texture
from winnow.data.scenes.parts import Piece, SolidPart, ball, box, moved_part, tube, turned


def legs(x: float, z: tuple[float, float], top: float, thick: float, label: Label, paint: Paint) -> list[SolidPart]:
    """Return four square legs with their outer corners at ±x and at both ends of z."""
    columns, rows = ((-x, thick - x), (x - thick, x)), ((z[0], z[0] + thick), (z[1] - thick, z[1]))
    return [box(column, (0, top), row, label, paint) for column in columns for row in rows]


def bed(dice: Dice) -> Piece:
    """Return a bed with headboard, mattress, blanket and pillows."""
    half, length, top = dice.pick((0.48, 0.7, 0.82)), dice.between(1.95, 2.1), dice.between(0.46, 0.56)
    frame, blanket = paints.wood(dice), paints.fabric(dice, paints.FABRICS + paints.PASTELS)
    sheet = paints.uniform(paints.tint(dice, paints.PASTELS, 0.05))
    fold = length * dice.between(0.3, 0.5)
    parts = [
        box((-half, half), (0.1, 0.28), (0.04, length), Label.BED, frame),
        box((-half - 0.03, half + 0.03), (0, dice.between(0.8, 1.2)), (0, 0.06), Label.BED, frame),
        box((-half + 0.03, half - 0.03), (0.28, top), (0.06, length - 0.03), Label.BED, sheet),
        box((-half - 0.02, half + 0.02), (0.22, top + 0.03), (fold, length + 0.01), Label.BED, blanket),
        box((-half - 0.01, half + 0.01), (top, top + 0.05), (fold - 0.22, fold), Label.BED, sheet),
    ]
    if dice.chance(0.5):
        foot = (0, dice.between(0.35, 0.7))
        parts.append(box((-half - 0.03, half + 0.03), foot, (length, length + 0.05), Label.BED, frame))
    count = 1 if half < 0.6 else 2
    pillow = paints.uniform(paints.tint(dice, paints.PASTELS)) if dice.chance(0.6) else paints.fabric(dice)
    width = half / count
    for k in range(count):
        centre = ((2 * k + 1) * width - half, top + 0.07, 0.3)
        parts.append(ball(centre, (width * 0.82, 0.1, 0.19), Label.OBJECTS, pillow))
    return Piece(parts, 2 * half + 0.1, length + 0.06, 1.0)


def sofa(dice: Dice, seats: int) -> Piece:
    """Return a sofa of two or three seats, or an armchair (a chair) of one."""
    label = Label.SOFA if seats > 1 else Label.CHAIR
    cloth, arm, seat = paints.fabric(dice), dice.between(0.12, 0.22), dice.between(0.52, 0.72)
    inner = seats * seat / 2
    half, depth, back = inner + arm, dice.between(0.82, 0.98), dice.between(0.75, 0.95)
    foot, level = dice.between(0.04, 0.14), dice.between(0.4, 0.46)
    parts = [
        box((-half, half), (foot, level - 0.12), (0.02, depth - 0.02), label, cloth),
        box((-half, half), (foot, back), (0, 0.2), label, cloth),
        *legs(half - 0.03, (0.03, depth - 0.05), foot, 0.05, label, paints.wood(dice)),
    ]
    parts += [box((left, left + arm), (foot, level + 0.18), (0, depth), label, cloth) for left in (-half, inner)]
    for k in range(seats):
        left = k * seat - inner
        parts.append(box((left + 0.01, left + seat - 0.01), (level - 0.12, level), (0.2, depth + 0.02), label, cloth))
        parts.append(
            ball((left + seat / 2, level + 0.2, 0.25), (seat * 0.52, (back - level) * 0.62, 0.13), label, cloth)
        )
    parts += _cushions(dice, inner, level)
    return Piece(parts, 2 * half, depth + 0.03, back)


def _cushions(dice: Dice, reach: float, level: float) -> list[SolidPart]:
    corners = [side * (reach - 0.2) for side in (-1, 1) if reach > 0.45 and dice.chance(0.55)]
    return [
        ball((x, level + 0.17, 0.42), (0.2, 0.18, 0.09), Label.OBJECTS, paints.fabric(dice, paints.VIVIDS))
        for x in corners
    ]


def dining_table(dice: Dice, width: float, depth: float, height: float) -> Piece:
    """Return a table on four legs, or a round one on a pedestal where its sides are equal."""
    paint, half, thick = paints.wood(dice, 0.3), width / 2, dice.between(0.03, 0.06)
    if width == depth:
        parts = [
            tube((0, height - thick, half), thick, (half, half), Label.TABLE, paint),
            tube((0, 0.03, half), height - thick - 0.03, (0.07, 0.05), Label.TABLE, paint),
            tube((0, 0, half), 0.03, (half * 0.55, half * 0.5), Label.TABLE, paint),
        ]
        return Piece(parts, width, depth, height)
    top = box((-half, half), (height - thick, height), (0, depth), Label.TABLE, paint)
    under = paint if dice.chance(0.7) else paints.metal(dice)
    rail = height - thick - 0.08
    parts = [top, *legs(half - 0.04, (0.04, depth - 0.04), height - thick, 0.06, Label.TABLE, under)]
    if height > 0.6:
        for z in (0.06, depth - 0.08):
            parts.append(box((-half + 0.1, half - 0.1), (rail, height - thick), (z, z + 0.02), Label.TABLE, under))
    return Piece(parts, width, depth, height)


def chair(dice: Dice, frame: Paint, cloth: Paint) -> Piece:
    """Return a dining chair with its back at z = 0: legs, seat, posts and slats or a panel."""
    half, level, back = 0.22, dice.between(0.43, 0.48), dice.between(0.82, 1.02)
    parts = [
        box((-half, half), (level - 0.05, level), (0, 0.44), Label.CHAIR, cloth),
        *legs(half, (0, 0.44), level - 0.05, 0.04, Label.CHAIR, frame),
    ]
    if dice.chance(0.4):
        parts.append(box((-half, half), (level, back), (0, 0.05), Label.CHAIR, cloth))
        return Piece(parts, 0.46, 0.46, back)
    parts += [box((x, x + 0.04), (level, back), (0, 0.04), Label.CHAIR, frame) for x in (-half, half - 0.04)]
    for k in range(2):
        low = back - 0.14 - 0.2 * k
        parts.append(box((-half + 0.04, half - 0.04), (low, low + 0.11), (0.005, 0.03), Label.CHAIR, frame))
    return Piece(parts, 0.46, 0.46, back)


def office_chair(dice: Dice) -> Piece:
    """Return a swivel chair: foot, column, seat, back, arm rests."""
    cloth, frame = paints.fabric(dice), paints.metal(dice)
    parts = [
        box((-0.28, 0.28), (0.03, 0.08), (0.2, 0.26), Label.CHAIR, frame),
        box((-0.03, 0.03), (0.03, 0.08), (-0.05, 0.51), Label.CHAIR, frame),
        tube((0, 0.05, 0.23), 0.37, (0.03, 0.03), Label.CHAIR, frame),
        box((-0.25, 0.25), (0.42, 0.5), (0, 0.48), Label.CHAIR, cloth),
        box((-0.23, 0.23), (0.55, dice.between(0.9, 1.1)), (-0.04, 0.04), Label.CHAIR, cloth),
        box((-0.04, 0.04), (0.44, 0.6), (-0.05, -0.02), Label.CHAIR, frame),
    ]
    if dice.chance(0.5):
        for x in (-0.29, 0.24):
            parts.append(box((x, x + 0.05), (0.64, 0.68), (0.05, 0.35), Label.CHAIR, frame))
            parts.append(box((x + 0.01, x + 0.04), (0.46, 0.64), (0.18, 0.22), Label.CHAIR, frame))
    return Piece(parts, 0.6, 0.6, 1.0)


def desk(dice: Dice) -> Piece:
    """Return a desk with a drawer block on one side."""
    half, depth, height = dice.between(0.55, 0.8), dice.between(0.55, 0.7), 0.74
    paint, side = paints.wood(dice, 0.25), dice.pick((-1, 1))
    front = Paint(Texture.DRAWERS, paint.first, paint.second, 0.2, 0.1, seed=1)
    outer, inner = side * (half - 0.02), side * (half - 0.42)
    other = -side * (half - 0.02)
    parts = [
        box((-half, half), (height - 0.035, height), (0, depth), Label.TABLE, paint),
        box((min(outer, inner), max(outer, inner)), (0.04, height - 0.035), (0.04, depth - 0.04), Label.TABLE, front),
        box(
            (min(other, other + side * 0.04), max(other, other + side * 0.04)),
            (0, height - 0.035),
            (0.03, depth - 0.03),
            Label.TABLE,
            paint,
        ),
        box((-half + 0.04, half - 0.04), (0.35, height - 0.035), (0.02, 0.04), Label.TABLE, paint),
    ]  # fmt: skip
    return Piece(parts, 2 * half, depth, height)


def ring(dice: Dice, width: float, depth: float) -> list[tuple[list[SolidPart], float, float]]:
    """Return the chairs around a table of this size, turned towards it, with their offsets (x, z) from its middle."""
    frame, cloth = paints.wood(dice), paints.fabric(dice)
    model = chair(dice, frame, cloth if dice.chance(0.6) else frame).parts
    centred = moved_part(model, 0, 0, -0.22)
    seats = [(x, side) for side in (-1, 1) for x in ((-width / 4, width / 4) if width > 1.2 else (0.0,))]
    out = [
        (turned(centred, 1 + side), x, side * (depth / 2 + dice.between(0.05, 0.3)))
        for x, side in seats
        if dice.chance(0.85)
    ]
    out += [
        (turned(centred, -side), side * (width / 2 + dice.between(0.08, 0.3)), 0.0)
        for side in (-1, 1)
        if dice.chance(0.5)
    ]
    return out
