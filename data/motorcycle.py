"""A real photograph with measured depth: a motorcycle in a workshop, in windows of any place and side.

It is the left picture of a rectified stereo pair with the disparities that structured light measured, at a quarter of
the resolution, as the package scikit-image carries them. Depth follows from the disparity d, normals from the depth:

    Z = f B / (d + Δ),    P = Z ((u − c_x) / f, (v − c_y) / f, 1),    n ∝ ∂P/∂v × ∂P/∂u

by differences of neighbours, towards the camera (x right, y down, z forward, as in `data.scenes.camera`). Where a
neighbour is not known, or nearer or farther by more than `JUMP`, there is no normal. Windows of `train` lie in the
columns left of `BORDER`, those of `val` right of it: no pixel is in both.

| field     | array                       | meaning                          |
|-----------|-----------------------------|----------------------------------|
| `depth`   | (size, size) float32, m     | along the optical axis           |
| `normals` | (size, size, 3) float32     | derived, not measured            |

Source: D. Scharstein et al., "High-resolution stereo datasets with subpixel-accurate ground truth", GCPR 2014; the
calibration is the one that scikit-image gives for its copy.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from pydantic import Field as Option

from winnow.data.disk.geometry import nearest_pixels, resized_image
from winnow.data.disk.pictures import read_image
from winnow.data.generated import Generated
from winnow.data.sample import Array, DataError, Field, Sample, Split
from winnow.data.spec import DataSpec

FOCAL, CENTRE_X, CENTRE_Y = 994.978, 311.193, 254.877  # px
SHIFT, BASELINE = 31.086, 0.193001  # px between the principal points; m between the cameras
JUMP = 0.03  # of the depth, from one pixel to the next: another surface begins
BORDER = 440  # column
LEAST, MOST = 160, 300  # px: side of a window
LEFT, DISPARITY = "motorcycle_left.png", "motorcycle_disp.npz"
FIELDS: Mapping[str, Field] = MappingProxyType(
    {"depth": Field(kind="depth", unit="m"), "normals": Field(kind="normals")}
)
INSTALL = "Run pip install 'winnow-mtl[samples]'."


class Motorcycle(Generated):
    """`length` windows of the photograph, each brought to size × size pixels.

    Raises:
        ValueError: an unknown split, a negative length or seed.
        DataError: scikit-image, which carries the photograph, is not installed or lacks it.

    """

    name, fields, smallest = "motorcycle", FIELDS, 8

    def __post_init__(self) -> None:
        if self.split == "test":
            raise ValueError("`split` must be train or val for data set motorcycle, got test: there is one photograph.")
        super().__post_init__()

    def drawn(self, stream: list[int]) -> Sample:
        """Return the window of a random stream."""
        image, depth, normals = motorcycle_photograph()
        chance = np.random.default_rng(stream)
        first, last = (0, BORDER) if self.split == "train" else (BORDER, image.shape[1])
        side = int(chance.integers(LEAST, MOST + 1))
        top, left = (
            int(chance.integers(image.shape[0] - side + 1)),
            first + int(chance.integers(last - first - side + 1)),
        )
        part = (slice(top, top + side), slice(left, left + side))
        size = (int(self.size), int(self.size))
        targets = {"depth": nearest_pixels(depth[part], size), "normals": nearest_pixels(normals[part], size)}
        return Sample(resized_image(image[part], size), targets)


class MotorcycleData(DataSpec):
    """Windows of one photograph with measured depth."""

    summary = "One real photograph with measured depth and derived normals, in windows. Needs scikit-image."
    known = FIELDS
    source = Motorcycle
    verb = "cutting"

    dataset: Literal["motorcycle"] = "motorcycle"
    size: int = Option(64, ge=8, le=1024, description="image side in pixels")
    train_length: int = Option(200, ge=2, le=1_000_000, description="number of training windows")
    val_length: int = Option(50, ge=1, le=100_000, description="number of validation windows")
    data_seed: int = Option(0, ge=0, description="seed of the windows")

    def options(self, split: Split) -> dict[str, Any]:
        """Return the length of the split, the size and the seed."""
        return {"length": self.length(split), "size": self.size, "seed": self.data_seed}

    def length(self, split: Split) -> int | None:
        """Return how many windows a split has."""
        return {"train": self.train_length, "val": self.val_length}.get(split)

    @property
    def splits(self) -> tuple[Split, ...]:
        """Training and validation: one photograph has no third part worth looking at."""
        return ("train", "val")


@lru_cache(maxsize=1)
def motorcycle_photograph() -> tuple[Array, Array, Array]:
    """Return the image (500, 741, 3) uint8, depth [m] (500, 741) float32 and normals (500, 741, 3) float32."""
    folder = _folder()
    with np.load(folder / DISPARITY, allow_pickle=False) as stored:
        disparity: Array = stored[stored.files[0]].astype(np.float64)
    image = read_image(folder / LEFT)
    depth = np.nan_to_num(FOCAL * BASELINE / (disparity + SHIFT), nan=0.0, posinf=0.0)
    return image, depth.astype(np.float32), normals_of_depth(depth)


def normals_of_depth(depth: Array) -> Array:
    """Return unit normals (H, W, 3) float32 of depths (H, W) [m], 0 missing; zero where they cannot be told."""
    rows, columns = np.indices(depth.shape)
    rays = np.stack([(columns - CENTRE_X) / FOCAL, (rows - CENTRE_Y) / FOCAL, np.ones(depth.shape)], axis=2)
    points = rays * depth[:, :, None]
    inside = (slice(1, -1), slice(1, -1))
    down, across = points[2:, 1:-1] - points[:-2, 1:-1], points[1:-1, 2:] - points[1:-1, :-2]
    found = np.cross(down, across)
    length = np.linalg.norm(found, axis=2, keepdims=True)
    here = depth[inside]
    beside = np.stack([depth[2:, 1:-1], depth[:-2, 1:-1], depth[1:-1, 2:], depth[1:-1, :-2]])
    known = (here > 0) & (np.abs(beside - here) <= JUMP * here).all(0) & (length[:, :, 0] > 0)
    normals = np.zeros((*depth.shape, 3), np.float32)
    normals[inside] = np.where(known[:, :, None], found / np.where(length > 0, length, 1), 0)
    return normals


def _folder() -> Path:
    """Return the folder of scikit-image's pictures; nothing of it is imported, nothing is downloaded."""
    found = find_spec("skimage")
    places: Any = found.submodule_search_locations if found is not None else None
    if not places:
        raise DataError("motorcycle", "scikit-image", "installed", "no such package", INSTALL)
    folder = Path(next(iter(places)), "data")
    for name in (LEFT, DISPARITY):
        if not (folder / name).is_file():
            raise DataError(str(folder), "scikit-image", f"a version that carries {name}", "none", INSTALL)
    return folder
