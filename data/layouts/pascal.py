"""PASCAL-Context as PASCAL_MT holds it (ASTMT, Vandenhende): classes, saliency and normals, of images of any size.

    JPEGImages/ID.jpg, ImageSets/Context/{train,val}.txt
    semseg/VOC12/ID.png, or semseg/pascal-context/ID.png where that is absent: 0 … 20, 255 not labelled
    sal_distill/ID.png: salient above 127
    normals_distill/ID.png: n = v / 127.5 − 1

Saliency and normals are the predictions of other networks, not annotations. Papers evaluate normals only on objects
that NYU-v2 has too; here they are known at every pixel. Human parts and edges are not read.

Source: K.-K. Maninis, I. Radosavovic, I. Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR 2019.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from winnow.data.disk.paths import named_files
from winnow.data.disk.pictures import read_image, read_labels
from winnow.data.disk.records import FilePart, Record
from winnow.data.layouts.layout import DiskLayout, LayoutData, no_file, one_file_each, together
from winnow.data.layouts.nyu import listed, read_classes, read_coded_normals
from winnow.data.sample import Array, DataError, Field, Split

_CLASSES = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorbike,person,"
    "potted plant,sheep,sofa,train,tv monitor"
)
CLASSES = tuple(_CLASSES.split(","))
LISTS = ("ImageSets/Context/train.txt", "ImageSets/Context/val.txt")
SEMSEG = ("semseg/VOC12", "semseg/pascal-context")  # the first that has the image
FIELDS = {
    "seg": Field(kind="segmentation", classes=CLASSES),
    "saliency": Field(kind="segmentation", classes=("background", "salient")),
    "normals": Field(kind="normals"),
}


def read_saliency(path: Path) -> Array:
    """Return 1 where a grey picture is above 127, (H, W) int8."""
    values = read_labels(path)
    if values.max(initial=0) > 255 or values.min(initial=0) < 0:
        raise DataError(str(path), "saliency", "a grey picture of 8 bits", f"values up to {values.max()}")
    return (values > 127).astype(np.int8)


def _records(root: Path, split: Split) -> list[Record]:
    names = listed(root / f"ImageSets/Context/{split}.txt")
    parts = {
        "seg": _classes(root, names),
        "saliency": one_file_each(root / "sal_distill", "saliency", names, read_saliency, (".png",)),
        "normals": one_file_each(root / "normals_distill", "normals", names, read_coded_normals, (".png",)),
    }
    return together(names, one_file_each(root / "JPEGImages", "image", names, read_image, (".jpg",)), parts)


def _classes(root: Path, names: list[str]) -> dict[str, FilePart]:
    found: dict[str, Path] = {}
    for folder in reversed(SEMSEG):
        found |= named_files(root / folder, (".png",)) if (root / folder).is_dir() else {}
    read = partial(read_classes, values=tuple(range(len(CLASSES))), missing=(255,))
    parts = {name: FilePart((path,), partial(read, path)) for name, path in found.items()}
    return {name: parts.get(name) or no_file(root / "semseg", "seg", name) for name in names}


LAYOUTS: Mapping[str, DiskLayout] = MappingProxyType(
    {
        "pascal_mt": DiskLayout(
            "PASCAL_MT (ASTMT, Vandenhende)", ("JPEGImages", "semseg", *LISTS), FIELDS, _records, described=LISTS
        )
    }
)


class PascalData(LayoutData):
    """PASCAL-Context, photographs of objects, from the folder PASCAL_MT."""

    summary = "PASCAL-Context: photographs of objects with classes, saliency and normals, from the folder PASCAL_MT."
    known = MappingProxyType(FIELDS)
    layouts = LAYOUTS

    dataset: Literal["pascal"] = "pascal"
