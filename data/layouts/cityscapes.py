"""Cityscapes: streets with classes and disparity, in two layouts.

| layout | classes                     | image                     | disparity                                      |
|--------|-----------------------------|---------------------------|------------------------------------------------|
| `mtan` | 7 categories, -1: none      | .npy in [0, 1], 128 × 256 | .npy, inverse depth without a unit, 0: missing |
| `raw`  | 19 classes of the benchmark | .png, 1024 × 2048         | .png of 16 bits, (v - 1) / 256 px, 0: missing  |

The labels of the official test split are not published: there are `train` and `val`.

Source: M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016; the numbers of the
classes and the code of the disparity are those of its cityscapesScripts (labels.py, README).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from winnow.data.disk.arrays import read_npy
from winnow.data.disk.decoding import StoredNumbers
from winnow.data.disk.paths import named_files
from winnow.data.disk.pictures import flat, read_image, read_numbers
from winnow.data.disk.records import FilePart, Record
from winnow.data.layouts.layout import DiskLayout, LayoutData, Read, one_file_each, together
from winnow.data.layouts.nyu import numbered_names, read_classes
from winnow.data.sample import Array, DataError, Field, Split

COUNTS: Mapping[Split, int] = MappingProxyType({"train": 2975, "val": 500})
CATEGORIES = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
NINETEEN: Mapping[str, int] = MappingProxyType(
    {
        "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
        "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26,
        "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
    }
)  # fmt: skip
"""The classes of the benchmark by name, with the number that labelIds files hold."""
IGNORED = (*(number for number in range(34) if number not in NINETEEN.values()), 255)
FARTHEST = 512.0  # pixels of disparity that 16 bits hold: 256; anything above is another code
OF_7 = {
    "seg": Field(kind="segmentation", classes=CATEGORIES),
    "disparity": Field(kind="map", unit="1", scale=0.05),
}
OF_19 = {
    "seg": Field(kind="segmentation", classes=tuple(NINETEEN)),
    "disparity": Field(kind="map", unit="px", scale=20.0),
}


def read_inverse_depth(path: Path) -> Array:
    """Return inverse depths (H, W) float32 of a .npy, NaN where missing."""
    return StoredNumbers(missing=(0,), low=0, high=FARTHEST, positive=True).decode(path, flat(path, read_npy(path)))


def read_disparity(path: Path) -> Array:
    """Return disparities [px] (H, W) float32 of a picture of 16 bits, NaN where missing."""
    stored = read_numbers(path)
    if stored.dtype == np.uint8 or stored.dtype.kind == "f":
        mend = "Disparities are 16-bit PNG, 256 (d + 1) of d pixels."
        raise DataError(str(path), "disparity", "a picture of 16 bits", stored.dtype, mend)
    known: Array = np.where(stored > 0, (stored.astype(np.float32) - 1) / 256, np.nan).astype(np.float32)
    return known


def _mtan(root: Path, split: Split) -> list[Record]:
    folder = root / split
    names = numbered_names(folder / "image")
    classes = partial(read_classes, values=tuple(range(len(CATEGORIES))), missing=(-1,))
    parts = {
        "seg": one_file_each(folder / "label", "seg", names, classes, (".npy",)),
        "disparity": one_file_each(folder / "depth", "disparity", names, read_inverse_depth, (".npy",)),
    }
    return together(names, one_file_each(folder / "image", "image", names, read_image, (".npy",)), parts)


def _raw(root: Path, split: Split) -> list[Record]:
    images = named_files(root / "leftImg8bit" / split, (".png",))
    names = [name.removesuffix("_leftImg8bit") for name in images]
    classes = partial(read_classes, values=tuple(NINETEEN.values()), missing=IGNORED)
    parts = {
        "seg": _of(root / "gtFine" / split, "seg", names, "gtFine_labelIds", classes),
        "disparity": _of(root / "disparity" / split, "disparity", names, "disparity", read_disparity),
    }
    pictures = {
        name: FilePart((path,), partial(read_image, path)) for name, path in zip(names, images.values(), strict=True)
    }
    return together(names, pictures, parts)


def _of(folder: Path, task: str, names: list[str], ending: str, read: Read) -> dict[str, FilePart]:
    """Return what reads the file of each image that ends so."""
    found = one_file_each(folder, task, [f"{name}_{ending}" for name in names], read, (".png",))
    return {name: found[f"{name}_{ending}"] for name in names}


LAYOUTS: Mapping[str, DiskLayout] = MappingProxyType(
    {
        "mtan": DiskLayout(
            "numbered .npy files, 7 classes (MTAN, LibMTL)",
            ("train/image/0.npy", "val/image/0.npy", "train/depth", "!train/normal"),
            OF_7,
            _mtan,
            counts=COUNTS,
        ),
        "raw": DiskLayout(
            "the official folders, 19 classes",
            ("leftImg8bit/train", "leftImg8bit/val", "gtFine/train"),
            OF_19,
            _raw,
            counts=COUNTS,
        ),
    }
)


class CityscapesData(LayoutData):
    """Photographs of streets (Cityscapes), from a folder in one of its two layouts."""

    summary = "Cityscapes: photographs of streets with classes and disparity, from a folder in one of its two layouts."
    known = MappingProxyType(OF_7)
    layouts = LAYOUTS

    dataset: Literal["cityscapes"] = "cityscapes"
