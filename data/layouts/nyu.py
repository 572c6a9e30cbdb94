"""NYU-v2: 1,449 photographs of rooms with classes, depth and normals, in the five layouts that they are found in.

| layout     | classes | image                     | depth             | normals                 | `val` is            |
|------------|---------|---------------------------|-------------------|-------------------------|---------------------|
| `mtan`     | 13      | .npy in [0, 1], 288 × 384 | .npy, metres      | .npy                    | `val`               |
| `nyud_mt`  | 40      | .jpg, 480 × 640           | .npy, metres      | .npy                    | `gt_sets/val.txt`   |
| `atrc`     | 40      | .png, 480 × 640           | .npy, metres      | .png, n = v / 127.5 − 1 | `gt_sets/val.txt`   |
| `adashare` | 40      | .png, 480 × 640           | .npy, metres      | .png, missing: all 255  | `test` of the .json |
| `official` | 40      | .mat, 480 × 640           | .mat, raw metres  | none                    | `testNdxs`          |

All of them call the 654 official test images validation, or test; here they are `val`, and there is no other split.

Source: N. Silberman, D. Hoiem, P. Kohli, R. Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV
2012. The 40 classes: S. Gupta, P. Arbeláez, J. Malik, CVPR 2013; the 13: C. Couprie et al., arXiv 1301.3572.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal

from winnow.data.disk.arrays import read_npy
from winnow.data.disk.decoding import classes_of, depth_of, directions_of
from winnow.data.disk.paths import named_files
from winnow.data.disk.pictures import flat, read_colours, read_image, read_labels
from winnow.data.disk.records import FilePart, Record
from winnow.data.disk.tables import row_name, text_of
from winnow.data.layouts.layout import DiskLayout, LayoutData, Read, one_file_each, rows_of, together
from winnow.data.layouts.nyu_official import official_records
from winnow.data.sample import Array, DataError, Field, Split
from winnow.data.scenes.labels import CLASSES as THIRTEEN

FARTHEST = 20.0  # metres; the sensor measures up to 10
_FORTY = (
    "wall,floor,cabinet,bed,chair,sofa,table,door,window,bookshelf,picture,counter,blinds,desk,shelves,curtain,"
    "dresser,pillow,mirror,floor mat,clothes,ceiling,books,refrigerator,television,paper,towel,shower curtain,box,"
    "whiteboard,person,night stand,toilet,sink,lamp,bathtub,bag,other structure,other furniture,other prop"
)
FORTY = tuple(_FORTY.split(","))
DEPTH, NORMALS, EDGES = Field(kind="depth", unit="m"), Field(kind="normals"), Field(kind="edges")
OF_13 = {"seg": Field(kind="segmentation", classes=THIRTEEN), "depth": DEPTH, "normals": NORMALS}
OF_40 = {"seg": Field(kind="segmentation", classes=FORTY), "depth": DEPTH, "normals": NORMALS}
COUNTS: Mapping[Split, int] = MappingProxyType({"train": 795, "val": 654})
LISTS = ("gt_sets/train.txt", "gt_sets/val.txt")


def read_depth(path: Path) -> Array:
    """Return metres (H, W) float32, 0 where missing, of a .npy."""
    return depth_of(high=FARTHEST).decode(path, flat(path, read_npy(path)))


def read_normals(path: Path) -> Array:
    """Return unit vectors (H, W, 3) float32 of a .npy of floats."""
    values = read_npy(path)
    if values.dtype.kind != "f":
        raise DataError(str(path), "dtype", "float in [-1, 1]", values.dtype, "Divide bytes by 127.5 and subtract 1.")
    return directions_of(path, values)


def read_coded_normals(path: Path, missing: tuple[float, ...] = ()) -> Array:
    """Return unit vectors (H, W, 3) float32 of a picture, n = v / 127.5 − 1."""
    return directions_of(path, read_colours(path), missing)


def read_classes(path: Path, values: tuple[int, ...], missing: tuple[float, ...]) -> Array:
    """Return classes (H, W) int64, -1 where missing, of a picture or a .npy."""
    return classes_of(path, read_labels(path), values, missing)


def numbered_names(folder: Path) -> list[str]:
    """Return the names 0 … n - 1 of n files.

    Raises:
        DataError: a number is missing, or a file is called otherwise.

    """
    found = named_files(folder, (".npy",))
    expected = [str(number) for number in range(len(found))]
    absent = [name for name in expected if name not in found]
    if absent:
        said = f"no {absent[0]}.npy"
        raise DataError(str(folder), "image", f"0.npy to {len(found) - 1}.npy, as there are {len(found)}", said)
    return expected


def listed(path: Path) -> list[str]:
    """Return the names that a file lists, one a line.

    Raises:
        DataError: it lists none, or one twice.

    """
    names = [row_name(line) for line in text_of(path).splitlines() if line.strip()]
    if not names or len(set(names)) < len(names):
        twice = next((name for k, name in enumerate(names) if name in names[:k]), "none at all")
        raise DataError(str(path), "names", "different from each other", twice)
    return names


def _mtan(root: Path, split: Split) -> list[Record]:
    folder = root / split
    names = numbered_names(folder / "image")
    classes = partial(read_classes, values=tuple(range(13)), missing=(-1,))
    reads: dict[str, tuple[str, Read]] = {
        "seg": ("label", classes), "depth": ("depth", read_depth), "normals": ("normal", read_normals)
    }  # fmt: skip
    parts = {task: one_file_each(folder / name, task, names, read, (".npy",)) for task, (name, read) in reads.items()}
    return together(names, one_file_each(folder / "image", "image", names, read_image, (".npy",)), parts)


def _nyud(root: Path, split: Split, pictures: bool) -> list[Record]:
    """Return the records of NYUD_MT, or of its variant with pictures of edges and normals."""
    names = listed(root / f"gt_sets/{split}.txt")
    edges: Read = (
        partial(read_classes, values=(0, 255), missing=())
        if pictures
        else partial(read_classes, values=(0, 1), missing=(-1, 255))
    )
    kind, forty = (".png",) if pictures else (".npy",), tuple(range(1, 41))
    parts = {
        "seg": one_file_each(
            root / "segmentation", "seg", names, partial(read_classes, values=forty, missing=(0,)), (".png",)
        ),
        "depth": one_file_each(root / "depth", "depth", names, read_depth, (".npy",)),
        "normals": one_file_each(
            root / "normals", "normals", names, read_coded_normals if pictures else read_normals, kind
        ),
        "edges": one_file_each(root / "edge", "edges", names, edges, kind),
    }
    return together(names, one_file_each(root / "images", "image", names, read_image, (".png", ".jpg")), parts)


def _adashare(root: Path, split: Split) -> list[Record]:
    listing = root / "nyu_v2_3task.json"
    rows = rows_of(listing, "test" if split == "val" else split, ("image", "classes", "normals", "depth"))
    reads: tuple[Read, ...] = (
        read_image,
        partial(read_classes, values=tuple(range(40)), missing=(255,)),
        partial(read_coded_normals, missing=(255, 255, 255)),
        read_depth,
    )
    records = []
    for row in rows:
        image, seg, normals, depth = (
            FilePart((root / name,), partial(read, root / name)) for name, read in zip(row, reads, strict=True)
        )
        records.append(Record(PurePosixPath(row[0]).stem, image, {"seg": seg, "depth": depth, "normals": normals}))
    return records


LAYOUTS: Mapping[str, DiskLayout] = MappingProxyType(
    {
        "mtan": DiskLayout(
            "numbered .npy files, 13 classes (MTAN, LibMTL)",
            ("train/image/0.npy", "val/image/0.npy", "train/normal"),
            OF_13,
            _mtan,
            counts=COUNTS,
        ),
        "nyud_mt": DiskLayout(
            "NYUD_MT: .npy depth and normals, 40 classes (ASTMT, Vandenhende)",
            ("images", "segmentation", "normals/*.npy", *LISTS),
            {**OF_40, "edges": EDGES},
            partial(_nyud, pictures=False),
            described=LISTS,
            counts=COUNTS,
        ),
        "atrc": DiskLayout(
            "NYUD_MT with normals and edges as .png, 40 classes (ATRC, InvPT)",
            ("images", "segmentation", "normals/*.png", *LISTS),
            {**OF_40, "edges": EDGES},
            partial(_nyud, pictures=True),
            described=LISTS,
            counts=COUNTS,
        ),
        "adashare": DiskLayout(
            "pictures listed in nyu_v2_3task.json, 40 classes (AdaShare, DiSparse)",
            ("nyu_v2_3task.json",),
            OF_40,
            _adashare,
            described=("nyu_v2_3task.json",),
            counts=COUNTS,
        ),
        "official": DiskLayout(
            "nyu_depth_v2_labeled.mat with splits.mat and classMapping40.mat, without normals",
            ("nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"),
            {name: OF_40[name] for name in ("seg", "depth")},
            official_records,
            described=("splits.mat", "classMapping40.mat"),
            counts=COUNTS,
        ),
    }
)


class NyuData(LayoutData):
    """NYU-v2, photographs of rooms, from a folder in one of its five layouts."""

    summary = "NYU-v2: photographs of rooms with classes, depth and normals, from a folder in one of its five layouts."
    known = MappingProxyType(OF_13)
    layouts = LAYOUTS

    dataset: Literal["nyu"] = "nyu"
