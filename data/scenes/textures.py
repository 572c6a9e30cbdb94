"""Procedural textures: the linear reflectance of a point from where it lies on its face.

A pattern whose period falls under two pixels fades to its mean, as
a lens would have it.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats
from winnow.data.scenes.noise import Cells, cell, cloud, white
from winnow.data.scenes.paints import Texture
from winnow.data.scenes.scene import FACES, Solids
from winnow.data.scenes.visibility import Surface

SKIRTING = 0.09


class Patch(NamedTuple):
    """The pixels that show one texture, n of them.

    `u`, `v` are metres along the face, `width`, `height` its extents, `front` whether it is the painted face,
    `first` and `second` (3, n) its colours and `footprint` the size of a pixel on the face, in metres.
    """

    u: Floats
    v: Floats
    width: Floats
    height: Floats
    front: NDArray[np.bool_]
    first: Floats
    second: Floats
    scale: Floats
    seed: Cells
    footprint: Floats

    def between(self, low: int, high: int) -> "Patch":
        """Return the pixels low ≤ k < high."""
        return Patch._make(column[..., low:high] for column in self)


def reflectance(solids: Solids, surface: Surface, footprint: Floats) -> Floats:
    """Return the linear RGB reflectance (3, S, S) of what is seen; `footprint` is metres per pixel on the surface."""
    texture = solids.texture[surface.ids.ravel()].astype(np.uint8)
    order = np.argsort(texture, kind="stable")
    whole = _patch(solids, surface, footprint, order)
    painted = np.empty((3, order.size), np.float32)
    ends = np.cumsum(np.bincount(texture, minlength=len(Texture))).tolist()
    for kind, low, high in zip(Texture, [0, *ends], ends, strict=False):
        if low < high:
            painted[:, low:high] = PAINTERS[kind](whole.between(low, high))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    out: Floats = np.take(painted, place, 1).reshape(3, *footprint.shape)
    board = (surface.ids < FACES) & (surface.point[1] < SKIRTING) & (surface.normal[1] == 0)
    out[:, board] = np.array([[0.72], [0.7], [0.66]], np.float32)
    return out


def _patch(solids: Solids, surface: Surface, footprint: Floats, order: Cells) -> Patch:
    """Return all pixels in this order, in which those of one texture are neighbours."""
    ids = surface.ids.ravel()[order]
    (u, v), (width, height) = (np.take(a.reshape(2, -1), order, 1) for a in (surface.uv, surface.extent))
    first, second = np.take(solids.first, ids, 1), np.take(solids.second, ids, 1)
    front, size = surface.front.ravel()[order], footprint.ravel()[order]
    return Patch(u, v, width, height, front, first, second, solids.scale[ids], solids.seed[ids], size)


def _mix(patch: Patch, weight: Floats) -> Floats:
    return patch.first + (patch.second - patch.first) * weight


def _clear(patch: Patch, period: Floats | float) -> Floats:
    return np.clip((period / patch.footprint - 1) * np.float32(0.5), 0, 1)


def _line(patch: Patch, phase: Floats, period: Floats | float, width: float) -> Floats:
    """Return 1 on lines `width` metres wide, every `period`, where the phase is whole; soft by the footprint."""
    distance = np.abs(phase - np.rint(phase)) * period
    soft = np.maximum(patch.footprint, np.float32(1e-4))
    cover = np.clip((width / 2 - distance) / soft + np.float32(0.5), 0, 1)
    return np.minimum(cover, np.maximum(width / soft, np.float32(0.15)))


def _plain(patch: Patch) -> Floats:
    return patch.first * (np.float32(0.96) + np.float32(0.08) * cloud(patch.u * 18, patch.v * 18, patch.seed))


def _grain(patch: Patch, along: Floats, across: Floats, shift: Cells) -> Floats:
    coarse = cloud(along * 9, across * 70, shift)
    fine = cloud(along * 25, across * 260, shift + 3)
    return coarse + _clear(patch, 0.02) * (fine - np.float32(0.5)) * np.float32(0.6)


def _wood(patch: Patch) -> Floats:
    long = patch.width >= patch.height
    along, across = np.where(long, patch.u, patch.v), np.where(long, patch.v, patch.u)
    return _mix(patch, np.clip(_grain(patch, along, across, patch.seed), 0, 1))


def _planks(patch: Patch) -> Floats:
    row = patch.v / patch.scale
    k = cell(row)
    column = patch.u / np.float32(1.3) + white(k, k, patch.seed) * 7
    tone = white(k, cell(column), patch.seed + 1)
    grain = _grain(patch, patch.u, patch.v, patch.seed + cell(column))
    colour = _mix(patch, np.clip(np.float32(0.55) * tone + np.float32(0.5) * grain - np.float32(0.1), 0, 1))
    gap = np.maximum(_line(patch, row, patch.scale, 0.006), _line(patch, column, 1.3, 0.006))
    return colour * (1 - np.float32(0.65) * gap)


def _tiles(patch: Patch) -> Floats:
    row, column = patch.v / patch.scale, patch.u / patch.scale
    i, j = cell(row), cell(column)
    checker = ((i + j) & 1).astype(np.float32)
    blend = np.float32(0.5) + (checker - np.float32(0.5)) * _clear(patch, 2 * patch.scale)
    tone = np.float32(0.92) + np.float32(0.16) * white(i, j, patch.seed)
    vein = np.float32(0.94) + np.float32(0.12) * cloud(patch.u * 30, patch.v * 30, patch.seed)
    grout = np.maximum(_line(patch, row, patch.scale, 0.012), _line(patch, column, patch.scale, 0.012))
    return _mix(patch, blend) * (tone * vein * (1 - np.float32(0.4) * grout))


def _carpet(patch: Patch) -> Floats:
    fleck = white(cell(patch.u * 110), cell(patch.v * 110), patch.seed)
    patchy = cloud(patch.u * 14, patch.v * 14, patch.seed)
    near = np.clip(np.float32(0.016) / patch.footprint, 0.25, 1)
    return _mix(patch, np.float32(0.5) + (fleck - np.float32(0.5)) * near) * (
        np.float32(0.9) + np.float32(0.2) * patchy
    )


def _stripes(patch: Patch) -> Floats:
    wave = np.cos(np.float32(2 * np.pi) * patch.u / patch.scale)
    return _mix(patch, np.float32(0.5) + np.clip(3 * wave, -1, 1) * np.float32(0.5) * _clear(patch, patch.scale))


def _motif(patch: Patch) -> Floats:
    turn = np.float32(2 * np.pi) / patch.scale
    bump = np.cos(turn * patch.u) * np.cos(turn * patch.v)
    ring = np.clip(4 * (bump - np.float32(0.35)), 0, 1) - np.clip(4 * (bump - np.float32(0.8)), 0, 1)
    return _mix(patch, ring * _clear(patch, patch.scale))


def _plaid(patch: Patch) -> Floats:
    turn = np.float32(2 * np.pi) / patch.scale
    wave = np.clip(3 * np.cos(turn * patch.u), -1, 1) + np.clip(3 * np.cos(turn * patch.v), -1, 1)
    return _mix(patch, np.float32(0.5) + wave * np.float32(0.25) * _clear(patch, patch.scale))


def _brick(patch: Patch) -> Floats:
    row = patch.v / np.float32(0.08)
    column = patch.u / patch.scale + np.float32(0.5) * (cell(row) & 1)
    tone = np.float32(0.75) + np.float32(0.45) * white(cell(row), cell(column), patch.seed)
    joint = np.maximum(_line(patch, row, 0.08, 0.012), _line(patch, column, patch.scale, 0.012))
    values: Floats = patch.first * tone * (1 - joint) + patch.second * joint
    return values


def _books(patch: Patch) -> Floats:
    k = cell(patch.u / patch.scale)
    hue, tall = white(k, k, patch.seed), white(k, k + 9, patch.seed)
    red, green, blue = (np.float32(0.5) + np.float32(0.5) * np.cos(6.283 * (hue + c)) for c in (0.0, 0.33, 0.62))
    level = np.float32(0.07) + np.float32(0.6) * white(k, k + 5, patch.seed) ** 2
    spine = (np.stack([red, green, blue]) * np.float32(0.8) + np.float32(0.2)) * level
    height = patch.v / patch.height
    title = (np.abs(height - np.float32(0.62)) < 0.07) & (white(k, k + 2, patch.seed) > 0.4)
    spine = np.where(title, np.minimum(spine * 2 + np.float32(0.15), 0.8), spine)
    bound = 1 - np.float32(0.6) * _line(patch, patch.u / patch.scale, patch.scale, 0.006)
    above = height > np.float32(0.72) + np.float32(0.3) * tall
    return np.where(patch.front, np.where(above, patch.second, spine * bound), patch.first * np.float32(0.8))


def _rim(patch: Patch) -> Floats:
    across = np.minimum(patch.u, patch.width - patch.u)
    return np.minimum(across, np.minimum(patch.v, patch.height - patch.v))


def _picture(patch: Patch) -> Floats:
    rim, inner, kinds = _rim(patch), np.empty_like(patch.first), patch.seed & 3
    for kind in set(kinds.tolist()):
        at = np.flatnonzero(kinds == kind)
        colour, seed = np.take(patch.first, at, 1), patch.seed[at]
        inner[:, at] = MOTIFS[kind](patch.u[at] / patch.width[at], patch.v[at] / patch.height[at], seed, colour)
    mat = np.where((patch.seed & 4) > 0, np.float32(0.1), np.float32(0.045))
    framed = np.where(rim < mat, np.float32(0.75), inner)
    return np.where(patch.front & (rim > 0.035), framed, patch.second)


def _landscape(u: Floats, v: Floats, seed: Cells, _: Floats) -> Floats:
    hill = np.float32(0.42) + np.float32(0.12) * np.sin(u * 7 + seed) + np.float32(0.05) * np.sin(u * 19)
    sky = np.stack([np.float32(0.35) + v * 0.3, np.float32(0.5) + v * 0.2, np.float32(0.75) + v * 0.1])
    return np.where(v < hill, np.array([[0.13], [0.24], [0.08]], np.float32) * (1 + v), sky)


def _blocks(u: Floats, v: Floats, seed: Cells, _: Floats) -> Floats:
    row, column = cell(u * 3), cell(v * 3 + cell(u * 3))
    return np.stack([white(row, column, seed + c) for c in (1, 2, 3)]) ** 2


def _portrait(u: Floats, v: Floats, _: Cells, colour: Floats) -> Floats:
    head = ((u - np.float32(0.5)) / np.float32(0.17)) ** 2 + ((v - np.float32(0.6)) / np.float32(0.2)) ** 2 < 1
    body = ((u - np.float32(0.5)) / np.float32(0.34)) ** 2 + ((v - np.float32(0.1)) / np.float32(0.34)) ** 2 < 1
    dark = np.where(body, colour, np.array([[0.1], [0.08], [0.07]], np.float32) + v * np.float32(0.1))
    return np.where(head, np.array([[0.6], [0.38], [0.26]], np.float32), dark)


def _swirl(u: Floats, v: Floats, seed: Cells, colour: Floats) -> Floats:
    wave = np.float32(0.5) + np.float32(0.5) * np.sin(9 * u + 3 * np.sin(6 * v + seed))
    values: Floats = colour * wave + (1 - wave) * np.float32(0.7)
    return values


def _window(patch: Patch) -> Floats:
    u, v = patch.u / patch.width, patch.v / patch.height
    skyline = np.float32(0.25) + np.float32(0.3) * cloud(u * 14, patch.seed * 1.0, patch.seed)
    leaves = white(cell(u * 40), cell(v * 40), patch.seed) + np.float32(0.5)
    haze = np.clip(v * np.float32(0.8) + np.float32(0.35), 0, 1)
    sky = np.float32(1.25) * (1 - haze) + patch.first * haze * np.float32(1.3)
    view = np.where(v < skyline, patch.second * leaves * np.float32(1.3), sky)
    panes = np.maximum(np.rint(patch.width / np.float32(0.6)), 2)
    middle = np.abs(u * panes - np.rint(u * panes)) / panes * patch.width
    frame = (_rim(patch) < 0.06) | (middle < 0.022) | (np.abs(v - np.float32(0.66)) * patch.height < 0.018)
    return np.where(frame | ~patch.front, np.float32(0.5), view)


def _screen(patch: Patch) -> Floats:
    u, v = patch.u / patch.width, patch.v / patch.height
    hue = white(patch.seed, patch.seed, patch.seed)
    block = white(cell(u * 4), cell(v * 3), patch.seed)
    glow = np.stack([0.25 + 0.6 * hue * block, 0.35 + 0.4 * v * block, 0.5 + 0.5 * (1 - hue) * v]).astype(np.float32)
    lit = patch.front & (_rim(patch) > 0.018) & ((patch.seed & 1) > 0)
    return np.where(lit, glow * patch.second * 2, patch.first)


def _drawers(patch: Patch) -> Floats:
    columns = np.maximum(patch.seed, 1)
    rows = np.maximum(np.rint(patch.height / patch.scale), 1)
    u, v = patch.u / patch.width * columns, patch.v / patch.height * rows
    wide, tall = patch.width / columns, patch.height / rows
    gap = np.maximum(_line(patch, u, wide, 0.012), _line(patch, v, tall, 0.012))
    x, y = (u - cell(u) - np.float32(0.5)) * wide, (v - cell(v) - np.float32(0.5)) * tall
    door = tall > wide
    x, y = np.where(door, x - np.float32(0.4) * wide, x), np.where(door, y * np.float32(0.2), y)
    knob = (np.abs(y) < 0.014) & (np.abs(x) < np.where(door, 0.014, 0.06))
    grain = np.clip(_grain(patch, patch.v, patch.u, patch.seed), 0, 1) * np.float32(0.35)
    body = _mix(patch, grain) * (1 - np.float32(0.7) * gap * patch.front)
    return np.where(knob & patch.front, np.float32(0.12), body)


def _folds(patch: Patch) -> Floats:
    wave = np.sin(np.float32(2 * np.pi) * patch.u / patch.scale + 2 * np.sin(patch.v * np.float32(1.5)))
    return _mix(patch, np.float32(0.5) - np.float32(0.5) * wave * _clear(patch, patch.scale))


def _rug(patch: Patch) -> Floats:
    rim = _rim(patch)
    band = (rim < 0.05) | ((rim > 0.12) & (rim < 0.15))
    x, y = (patch.u - patch.width / 2) / patch.scale, (patch.v - patch.height / 2) / patch.scale
    diamond = np.abs(np.abs(x) + np.abs(y) - np.rint(np.abs(x) + np.abs(y)))
    pattern = (diamond < 0.2) & (rim > 0.2) & ((patch.seed & 1) > 0)
    tuft = np.float32(0.85) + np.float32(0.3) * white(cell(patch.u * 90), cell(patch.v * 90), patch.seed)
    values: Floats = np.where(band | pattern, patch.second, patch.first) * tuft
    return values


def _panels(patch: Patch) -> Floats:
    u, v = patch.u / patch.width * 2, patch.v / patch.height * 3
    x = np.minimum(u - np.floor(u), np.ceil(u) - u) * patch.width / 2
    y = np.minimum(v - np.floor(v), np.ceil(v) - v) * patch.height / 3
    rim = np.minimum(x, y)
    groove = (rim > 0.06) & (rim < 0.085)
    return np.where(groove, patch.second, patch.first * np.where(rim > 0.085, np.float32(0.93), np.float32(1)))


def _foliage(patch: Patch) -> Floats:
    leaf = white(cell(patch.u / patch.scale), cell(patch.v / patch.scale), patch.seed)
    return _mix(patch, np.clip(np.float32(1.6) * leaf - np.float32(0.3), 0, 1))


MOTIFS = (_landscape, _blocks, _portrait, _swirl)
PAINTERS: MappingProxyType[Texture, Callable[[Patch], Floats]] = MappingProxyType(
    {
        Texture.PLAIN: _plain, Texture.WOOD: _wood, Texture.PLANKS: _planks, Texture.TILES: _tiles,
        Texture.CARPET: _carpet, Texture.STRIPES: _stripes, Texture.MOTIF: _motif, Texture.PLAID: _plaid,
        Texture.BRICK: _brick, Texture.BOOKS: _books, Texture.PICTURE: _picture, Texture.WINDOW: _window,
        Texture.SCREEN: _screen, Texture.DRAWERS: _drawers, Texture.FOLDS: _folds, Texture.RUG: _rug,
        Texture.PANELS: _panels, Texture.FOLIAGE: _foliage,
    }
)  # fmt: skip
