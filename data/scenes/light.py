"""Light: lamps and windows with soft falloff, shadows, a hemisphere of bounced light, darkened corners.

For a point with normal n and unit direction l to a light at distance r,

    E = Σ colour · max(n · l, 0) · V / (1 + (r / reach)²) + ambient · A,    radiance = reflectance · E + highlights.

V is the share of a light that arrives (`data.scenes.shadows`). A, the share of the room that a point sees, falls near
the room's corners and beside and under furniture. Both are approximations; no label depends on them.
"""

import numpy as np

from winnow.data.scenes.camera import Floats, rectangles
from winnow.data.scenes.parts import Vector
from winnow.data.scenes.scene import FACES, Scene, Solids
from winnow.data.scenes.shadows import Ways, arriving
from winnow.data.scenes.solids import rotated
from winnow.data.scenes.visibility import Surface

DOUBLINGS = 6  # of the exponent of highlights, 64


def radiance(scene: Scene, solids: Solids, surface: Surface, colour: Floats) -> Floats:
    """Return the light (3, S, S) that reaches the camera from surfaces of this reflectance."""
    eye = -surface.view / _length(surface.view)
    gloss = solids.gloss[surface.ids]
    glow = solids.glow[surface.ids]
    diffuse = _ambient(scene, solids, surface)
    shine = np.zeros_like(diffuse)
    for light in scene.lights:
        away = surface.point - np.array(light.position, np.float32)[:, None, None]
        distance = _length(away)
        unit = away / distance
        power = np.maximum(-(surface.normal * unit).sum(0), 0) / (1 + (distance / np.float32(light.reach)) ** 2)
        if light.facing is not None:
            power *= _emitted(light.facing, unit)
        if light.shadows:
            lit = power > 0
            share = arriving(solids, surface, light.position, Ways(unit, distance), lit)
            np.multiply(power, share, out=power, where=lit)
        halfway = eye - unit
        cosine = np.maximum((surface.normal * halfway).sum(0) / _length(halfway), 0)
        for _ in range(DOUBLINGS):
            cosine *= cosine
        tint = np.array(light.colour, np.float32)[:, None, None]
        diffuse += tint * power
        shine += tint * (power * gloss * cosine)
    return colour * (diffuse * (1 - glow) + glow * np.float32(1.5)) + np.float32(0.6) * shine


def _length(vectors: Floats) -> Floats:
    values: Floats = np.sqrt((vectors * vectors).sum(0))
    return values


def _emitted(facing: Vector, unit: Floats) -> Floats:
    cosine = facing[0] * unit[0] + facing[1] * unit[1] + facing[2] * unit[2]
    values: Floats = np.clip(cosine * np.float32(1.1) + np.float32(0.15), 0, 1)
    return values


def _ambient(scene: Scene, solids: Solids, surface: Surface) -> Floats:
    open_share = np.float32(0.78) + np.float32(0.22) * surface.normal[1]
    for axis, size in enumerate(scene.extent):
        place = surface.point[axis]
        near = np.minimum(place, np.float32(size) - place)
        facing = 1 - np.abs(surface.normal[axis])
        open_share *= 1 - np.float32(0.45) * facing * np.exp(near * np.float32(-3.2))
    open_share *= _contact(scene, solids, surface)
    bounce = np.exp(surface.point[1] * np.float32(-0.8)) * (1 - surface.normal[1]) * np.float32(0.35)
    floor = solids.first[:, 2 * 1][:, None, None]
    values: Floats = np.array(scene.ambient, np.float32)[:, None, None] * (open_share + floor * bounce)
    return values


def _contact(scene: Scene, solids: Solids, surface: Surface) -> Floats:
    """Return how much of the ambient light reaches the faces of the room beside and under furniture."""
    share = np.ones_like(surface.depth)
    if not solids.boxes:
        return share
    boxes = [(yaw, c, h) for yaw, c, h in solids.boxes if max(h) > 0.12 and c[1] - h[1] < 0.3]
    if not boxes:
        return share
    yaw, centre, half = (np.array(column, np.float32) for column in zip(*boxes, strict=True))
    low, high = (centre - half - np.float32(0.25)).T, (centre + half + np.float32(0.25)).T
    grid = np.stack([low, high])
    points = np.stack([grid[list(pick), range(3)] for pick in np.ndindex(2, 2, 2)], -1)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    centre, half = centre[..., None, None], half[..., None, None]
    room = np.where(surface.ids < FACES, np.float32(0.5), np.float32(0))
    areas = rectangles(scene.camera, rotated(points, cosine[:, None], -sine[:, None]), len(room)).tolist()
    for k, (top, bottom, left, right) in enumerate(areas):
        if top >= bottom or left >= right:
            continue
        part = (slice(top, bottom), slice(left, right))
        point = surface.point[(slice(None), *part)]
        local = rotated(point, cosine[k], sine[k]) if yaw[k] else point
        gap = np.abs(local - centre[k]) - half[k]
        share[part] *= 1 - room[part] * np.exp(np.maximum(gap, 0).sum(0) * np.float32(-9))
    return share
