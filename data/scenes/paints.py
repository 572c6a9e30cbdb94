"""What surfaces are made of: a texture, two colours, a grain, gloss and glow.

Colours are chosen in sRGB, where lists of believable wall paints and woods are easy to write, and stored as linear
reflectance, in which light adds.
"""

from enum import IntEnum
from typing import NamedTuple

from winnow.data.scenes.dice import Dice

Colour = tuple[float, float, float]


class Texture(IntEnum):
    """How the two colours of a paint vary over a surface."""

    PLAIN = 0
    WOOD = 1
    PLANKS = 2
    TILES = 3
    CARPET = 4
    STRIPES = 5
    MOTIF = 6
    PLAID = 7
    BRICK = 8
    BOOKS = 9
    PICTURE = 10
    WINDOW = 11
    SCREEN = 12
    DRAWERS = 13
    FOLDS = 14
    RUG = 15
    PANELS = 16
    FOLIAGE = 17


class Paint(NamedTuple):
    """One material.

    `first` and `second` are linear RGB reflectances, `scale` the period of the texture in metres, `gloss` the
    strength of the highlight (1 is glass), `glow` the share of the colour that is emitted, not reflected, and `seed`
    in {0, …, 255} selects the variant.
    """

    texture: Texture
    first: Colour
    second: Colour
    scale: float = 1.0
    gloss: float = 0.0
    glow: float = 0.0
    seed: int = 0


WALLS = ("e8e0d0", "d9d2c3", "cfd8d6", "dcd3d8", "c7d0bb", "e6d8b8", "bfcbd6", "d8c4b4", "efece6", "a9b8a8", "c9b1a0")
ACCENTS = ("7a8f95", "9a5b4b", "56707f", "7c8a64", "8d7a9a", "b98b52", "4f5f58", "a86f66")
WOODS = ("8a5a34", "a9774a", "5c3a24", "c49a6c", "7b4b2a", "d0b38a", "3f2a1d", "96693f")
FABRICS = ("46587a", "7d3f3f", "5d6b4d", "8b8378", "3f3f48", "b09a7c", "6f4d69", "2f5d62", "a3623a", "c2b8a8", "394a8a")
PASTELS = ("e9e4da", "d5dbe6", "e6d3cf", "d3e0d0", "efe7c9", "f0f0ee", "c9d4e2")
VIVIDS = ("c0392b", "d98e32", "2e86ab", "3b8f5a", "e0c040", "7d4fa0", "d8d8d8", "303030", "d06a8a", "2f4a7f")
STONES = ("b9b2a6", "cfc9be", "8f8a83", "d8d2c6", "a79583")
METALS = ("8c8f93", "3b3b3d", "b8b2a4", "1f1f21")


def linear(code: str) -> Colour:
    """Return the linear RGB reflectance of an sRGB colour given as six hexadecimal digits."""
    red, green, blue = bytes.fromhex(code)
    return (red / 255) ** 2.2, (green / 255) ** 2.2, (blue / 255) ** 2.2


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour made darker (factor < 1) or lighter (factor > 1), at most 0.9."""
    red, green, blue = colour
    return min(0.9, red * factor), min(0.9, green * factor), min(0.9, blue * factor)


def tint(dice: Dice, codes: tuple[str, ...], spread: float = 0.15) -> Colour:
    """Return one of the colours, each channel and the brightness varied by up to `spread`."""
    level = dice.between(1 - spread, 1 + spread)
    red, green, blue = linear(dice.pick(codes))
    return shade((red * dice.between(0.94, 1.06), green, blue * dice.between(0.94, 1.06)), level)


def seed(dice: Dice) -> int:
    """Return the variant of a texture."""
    return dice.count(0, 255)


def wood(dice: Dice, gloss: float = 0.15) -> Paint:
    """Return a wood with its darker grain."""
    colour = tint(dice, WOODS)
    return Paint(Texture.WOOD, colour, shade(colour, 0.62), gloss=gloss, seed=seed(dice))


def fabric(dice: Dice, codes: tuple[str, ...] = FABRICS) -> Paint:
    """Return an upholstery or bed cloth: plain, woven, striped or chequered."""
    colour = tint(dice, codes)
    texture = dice.pick((Texture.PLAIN, Texture.CARPET, Texture.STRIPES, Texture.PLAID, Texture.MOTIF))
    second = shade(colour, 0.7) if dice.chance(0.6) else tint(dice, PASTELS)
    return Paint(texture, colour, second, dice.between(0.1, 0.28), seed=seed(dice))


def uniform(colour: Colour, gloss: float = 0.0, glow: float = 0.0) -> Paint:
    """Return a paint of one colour."""
    return Paint(Texture.PLAIN, colour, shade(colour, 0.85), gloss=gloss, glow=glow)


def metal(dice: Dice) -> Paint:
    """Return a metal or dark plastic."""
    return uniform(tint(dice, METALS), gloss=0.5)


def walls(dice: Dice, accent: bool) -> Paint:
    """Return a wall paint, wallpaper, or brick if `accent`."""
    colour = tint(dice, ACCENTS if accent else WALLS, 0.08)
    options = (Texture.PLAIN, Texture.PLAIN, Texture.PLAIN, Texture.STRIPES, Texture.MOTIF)
    texture = Texture.BRICK if accent and dice.chance(0.3) else dice.pick(options)
    second = shade(colour, dice.between(0.8, 0.92)) if texture != Texture.BRICK else tint(dice, STONES)
    scale = 0.24 if texture == Texture.BRICK else dice.between(0.18, 0.45)
    return Paint(texture, colour, second, scale, seed=seed(dice))


def floors(dice: Dice) -> Paint:
    """Return a floor of planks, tiles or carpet."""
    texture = dice.pick((Texture.PLANKS, Texture.PLANKS, Texture.TILES, Texture.CARPET))
    if texture == Texture.PLANKS:
        colour = tint(dice, WOODS)
        return Paint(texture, colour, shade(colour, 0.6), dice.between(0.1, 0.18), 0.25, seed=seed(dice))
    colour = tint(dice, STONES if texture == Texture.TILES else STONES + FABRICS)
    if texture == Texture.TILES:
        other = shade(colour, 0.55) if dice.chance(0.35) else shade(colour, 0.92)
        return Paint(texture, colour, other, dice.between(0.28, 0.55), 0.35, seed=seed(dice))
    return Paint(texture, colour, shade(colour, 0.72), 0.03, seed=seed(dice))
