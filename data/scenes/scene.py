"""A scene as the renderer takes it: the room, what stands in it, its lights and the camera.

`table` lays the parts out in columns, one entry per solid, so that what a pixel sees is gathered by the id of its
solid instead of being looked up part by part. Ids 0 to 5 are the faces of the room, 2 · axis + (side > 0).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.data.scenes.camera import Camera, Floats
from winnow.data.scenes.labels import Label
from winnow.data.scenes.paints import Colour, Paint
from winnow.data.scenes.parts import Placed, Shape, SolidPart, Vector

FACES = 6
FACE_LABELS = (Label.WALL, Label.WALL, Label.FLOOR, Label.CEILING, Label.WALL, Label.WALL)
FLUSH = (Label.WALL, Label.FLOOR, Label.CEILING, Label.WINDOW, Label.PICTURE)


class Light(NamedTuple):
    """A lamp, or a window where `facing` is its inward normal; light falls off as 1 / (1 + (distance / reach)²)."""

    position: Vector
    colour: Colour
    reach: float
    facing: Vector | None = None
    shadows: bool = True


@dataclass(frozen=True)
class Scene:
    """A room of `extent` = (width, height, length) metres, one paint per face, furniture, lights, ambient, camera."""

    extent: Vector
    surfaces: tuple[Paint, ...]
    pieces: tuple[Placed, ...]
    lights: tuple[Light, ...]
    ambient: Colour
    camera: Camera


@dataclass(frozen=True)
class Solids:
    """Columns over N solids; the vectors `centre`, `half`, `first`, `second` are (3, N).

    `centre` is in the frame turned by `yaw`, of which `cosine` and `sine` are kept. `boxes` bounds each piece of
    furniture: its yaw, centre and half extents. `order` are the ids of all but the faces of the room, by shape; `casts`
    those of them that cast shadows.
    """

    shape: NDArray[np.int64]
    yaw: Floats
    cosine: Floats
    sine: Floats
    centre: Floats
    half: Floats
    taper: Floats
    label: NDArray[np.int64]
    texture: NDArray[np.int64]
    first: Floats
    second: Floats
    scale: Floats
    gloss: Floats
    glow: Floats
    seed: NDArray[np.int64]
    order: NDArray[np.int64]
    casts: NDArray[np.int64]
    boxes: tuple[tuple[float, Vector, Vector], ...]


def scene_table(scene: Scene) -> Solids:
    """Return the solids of a scene, the faces of its room first."""
    middle = (scene.extent[0] / 2, scene.extent[1] / 2, scene.extent[2] / 2)
    faces = zip(FACE_LABELS, scene.surfaces, strict=True)
    parts = [SolidPart(Shape.ROOM, middle, middle, label, paint) for label, paint in faces]
    yaws = [0.0] * FACES
    for piece in scene.pieces:
        parts += piece.parts
        yaws += [piece.yaw] * len(piece.parts)
    whole = np.array([(p.shape, p.label, p.paint.texture, p.paint.seed) for p in parts]).T.copy()
    real = np.array([_row(part) for part in parts], np.float32).T.copy()
    yaw, sizes = np.array(yaws, np.float32), np.sort(real[3:6], axis=0)
    flush = np.isin(whole[1], FLUSH)
    casts = ~flush & (sizes[1] > 0.035) & (sizes[2] > 0.08) & (real[15] < 0.1)
    order = np.argsort(whole[0], kind="stable")[:-FACES]
    return Solids(
        shape=whole[0], label=whole[1], texture=whole[2], seed=whole[3], yaw=yaw, cosine=np.cos(yaw), sine=np.sin(yaw),
        centre=real[:3], half=real[3:6], taper=real[6],
        first=real[7:10], second=real[10:13], scale=real[13], gloss=real[14], glow=real[15],
        order=order, casts=order[casts[order]],
        boxes=tuple(_bounds(piece) for piece in scene.pieces if piece.parts[0].label not in FLUSH),
    )  # fmt: skip


def _row(part: SolidPart) -> tuple[float, ...]:
    paint = part.paint
    material = (*paint.first, *paint.second, paint.scale, paint.gloss, paint.glow)
    return (*part.centre, *part.half, part.taper, *material)


def _bounds(piece: Placed) -> tuple[float, Vector, Vector]:
    limits = []
    for k in range(3):
        low = min(p.centre[k] - p.half[k] for p in piece.parts)
        high = max(p.centre[k] + p.half[k] for p in piece.parts)
        limits.append(((low + high) / 2, (high - low) / 2))
    x, y, z = limits
    return piece.yaw, (x[0], y[0], z[0]), (x[1], y[1], z[1])
