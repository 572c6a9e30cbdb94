"""Taskonomy-tiny as AdaShare and DiSparse hold it: classes, normals, depth, keypoints and edges of rooms.

taskonomy.json lists the rows of each split, six paths each: image, classes, normals, depth, keypoints, edges.

| field       | stored                                        | here                                               |
|-------------|-----------------------------------------------|----------------------------------------------------|
| `seg`       | PNG of 8 bits: 0 not labelled, 1 … 17         | 17 classes, 0 … 16                                 |
| `normals`   | RGB PNG, n = v / 127.5 − 1                    | unit vectors; missing where the depth is           |
| `depth`     | PNG of 16 bits, 1/512 m; from 64,500 on: none | metres                                             |
| `keypoints` | PNG of 16 bits                                | v / 65,536, cut at 0.005 and divided by it: [0, 1] |
| `edges`     | PNG of 16 bits                                | v / 65,536, cut at 0.08 and divided by it: [0, 1]  |

`val` is the list `test_small` where there is one, otherwise `test`. Their readers give depth as log(1 + v) / log(2¹⁶),
and keypoints and edges in [−1, 1]; ours are metres and [0, 1]. semseg_prior_factor.npy, weights of the classes in their
loss, is not read.

Source: A. Zamir et al., "Taskonomy", CVPR 2018; X. Sun et al., "AdaShare", NeurIPS 2020, for the list and the limits.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from winnow.data.disk.decoding import depth_of
from winnow.data.disk.paths import plain_name
from winnow.data.disk.pictures import read_image, read_numbers
from winnow.data.disk.records import FilePart, Record
from winnow.data.layouts.layout import DiskLayout, LayoutData, rows_of
from winnow.data.layouts.nyu import DEPTH, NORMALS, read_classes, read_coded_normals
from winnow.data.sample import Array, DataError, Field, Split

_CLASSES = (
    "background,bottle,chair,couch,potted plant,bed,dining table,toilet,tv,microwave,oven,toaster,sink,refrigerator,"
    "book,clock,vase"
)
CLASSES = tuple(_CLASSES.split(","))
LISTING = "taskonomy.json"
PARTS = ("image", "seg", "normals", "depth", "keypoints", "edges")
NO_DEPTH = 64_500  # and above
PER_METRE = 512
MOST_KEYPOINTS, MOST_EDGES = 0.005, 0.08  # of 65,536: where their readers cut
FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "seg": Field(kind="segmentation", classes=CLASSES),
        "normals": NORMALS,
        "depth": DEPTH,
        "keypoints": Field(kind="map", scale=0.25),
        "edges": Field(kind="map", scale=0.25),
    }
)


def read_units(path: Path) -> Array:
    """Return a picture of one channel and 16 bits, (H, W) int64."""
    stored = read_numbers(path)
    if stored.dtype == np.uint8 or stored.dtype.kind == "f":
        raise DataError(str(path), "values", "a picture of 16 bits", stored.dtype, "Copy the file as it was published.")
    return stored.astype(np.int64)


def read_far_depth(path: Path) -> Array:
    """Return metres (H, W) float32 of units of 1/512 m, 0 where missing."""
    stored = read_units(path)
    return depth_of(1 / PER_METRE).decode(path, np.where(stored >= NO_DEPTH, 0, stored))


def read_normals_with_depth(path: Path, depth: Path) -> Array:
    """Return unit vectors (H, W, 3) float32, 0 where they or the depth are missing."""
    normals, far = read_coded_normals(path), read_far_depth(depth)
    if normals.shape[:2] != far.shape:
        raise DataError(str(path), "normals", f"of the size of the depth, {far.shape}", normals.shape[:2])
    return np.where(far[:, :, None] > 0, normals, 0).astype(np.float32)


def read_strength(path: Path, most: float) -> Array:
    """Return responses (H, W) float32 in [0, 1]: stored ones in parts of 65,536, cut at `most`."""
    return (np.minimum(read_units(path) / 2**16, most) / most).astype(np.float32)


def _records(root: Path, split: Split) -> list[Record]:
    names = ["train"] if split == "train" else ["test_small", "test"]
    rows = _first_list(root / LISTING, names)
    classes = partial(read_classes, values=tuple(range(1, len(CLASSES) + 1)), missing=(0,))
    records = []
    for row in rows:
        image, seg, normals, depth, keypoints, edges = (root / name for name in row)
        targets = {
            "seg": FilePart((seg,), partial(classes, seg)),
            "normals": FilePart((normals, depth), partial(read_normals_with_depth, normals, depth)),
            "depth": FilePart((depth,), partial(read_far_depth, depth)),
            "keypoints": FilePart((keypoints,), partial(read_strength, keypoints, MOST_KEYPOINTS)),
            "edges": FilePart((edges,), partial(read_strength, edges, MOST_EDGES)),
        }
        image_part = FilePart((image,), partial(read_image, image))
        records.append(Record(plain_name(row[0].rpartition(".")[0]), image_part, targets))
    return records


def _first_list(path: Path, names: list[str]) -> list[list[str]]:
    """Return the rows of the first of the lists that there is; of none, the error of the last."""
    for name in names[:-1]:
        try:
            return rows_of(path, name, PARTS)
        except DataError as error:
            if not isinstance(error.__cause__, KeyError):
                raise
    return rows_of(path, names[-1], PARTS)


LAYOUTS: Mapping[str, DiskLayout] = MappingProxyType(
    {
        "tiny": DiskLayout(
            "pictures listed in taskonomy.json (AdaShare, DiSparse)", (LISTING,), FIELDS, _records, described=(LISTING,)
        )
    }
)


class TaskonomyData(LayoutData):
    """Taskonomy-tiny, photographs of rooms, from a folder with taskonomy.json."""

    summary = (
        "Taskonomy-tiny: photographs of rooms with classes, normals, depth, keypoints and edges, from a folder with "
        "taskonomy.json."
    )
    known = FIELDS
    layouts = LAYOUTS

    dataset: Literal["taskonomy"] = "taskonomy"
