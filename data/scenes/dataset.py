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
from typing import get_args

import numpy as np

from winnow.data.parameters import check_split, check_whole, checked_index
from winnow.data.sample import Field, Sample, Split
from winnow.data.scenes.dice import Dice
from winnow.data.scenes.labels import CLASSES
from winnow.data.scenes.render import render
from winnow.data.scenes.rooms import draw

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
class Scenes:
    """`length` scenes of size × size pixels.

    Raises `ValueError` for an unknown split, a negative length or seed, or a size under 8.
    """

    split: Split
    length: int
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_split(self.split)
        for name, least in (("length", 0), ("size", SMALLEST), ("seed", 0)):
            check_whole(name, getattr(self, name), least)

    @property
    def name(self) -> str:
        """What the data set is called."""
        return "scenes"

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image."""
        return FIELDS

    def __len__(self) -> int:
        return int(self.length)

    def sample(self, index: int) -> Sample:
        """Return the scene at `index`, 0 ≤ index < length, else raise `IndexError`."""
        place = checked_index(index, self.length)
        stream = [int(self.seed), get_args(Split).index(self.split), place]
        scene = draw(Dice(np.random.default_rng([*stream, 0])))
        return render(scene, int(self.size), np.random.default_rng([*stream, int(self.size)]))
