"""Procedural indoor scenes: any number of furnished rooms with labels, depth, normals and edges, from a seed.

The rooms are made of boxes, ellipsoids and frusta, seen by ray casting; every target is computed from the geometry,
not estimated from the image. The room at an index depends on (seed, split, index) alone and may be rendered at any
size; noise depends on the size too. Splits use different random streams, so that no room belongs to two of them.

| field     | array                | meaning                                                                          |
|-----------|----------------------|----------------------------------------------------------------------------------|
| `seg`     | (S, S) int64         | class of NYU-v2's thirteen, −1 where unlabelled                                  |
| `depth`   | (S, S) float32       | metres along the optical axis (not along the ray), 0 where the sensor saw none   |
| `normals` | (S, S, 3) float32    | unit, axes x right, y down, z forward, towards the camera; zero where depth is   |
| `edges`   | (S, S) int64         | 1 on boundaries of classes, occlusions and creases                               |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field as Option

from winnow.data.generated import Generated, GeneratedData
from winnow.data.sample import Field, Sample
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import CLASSES
from winnow.data.scenes.render import render
from winnow.data.scenes.rooms import draw_room

SMALLEST = 8
FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "seg": Field(kind="segmentation", classes=CLASSES),
        "depth": Field(kind="depth", unit="m"),
        "normals": Field(kind="normals"),
        "edges": Field(kind="edges"),
    }
)


@dataclass(frozen=True)
class Scenes(Generated):
    """`length` scenes of size × size pixels, at least 8."""

    name: ClassVar[str] = "scenes"
    fields: ClassVar[Mapping[str, Field]] = FIELDS
    smallest: ClassVar[int] = SMALLEST

    def drawn(self, stream: list[int]) -> Sample:
        """Draw the scene of a random stream; its noise depends on the size too."""
        scene = draw_room(Dice(np.random.default_rng([*stream, 0])))
        return render(scene, int(self.size), np.random.default_rng([*stream, int(self.size)]))


class ScenesData(GeneratedData):
    """Synthetic rooms, in any number and size."""

    summary = "Synthetic rooms: 13 classes, depth, surface normals and edges. Any size and number, from a seed."
    known = FIELDS
    source = Scenes

    dataset: Literal["scenes"] = "scenes"
    size: int = Option(64, ge=SMALLEST, le=1024, description="image side in pixels")
