"""CelebAMask-HQ: 30,000 faces with parts per pixel, 40 attributes and the pose of the head.

| layout   | parts                                                        | from                                      |
|----------|--------------------------------------------------------------|-------------------------------------------|
| `raw`    | 19 classes, painted one over the other in the official order | a picture per part, absent where it is not|
| `raw3`   | background, hair, skin, from the same pictures               | as above; only with `--layout raw3`       |
| `masks3` | background, hair, skin: 0 or 255, 1, 2                       | CelebA-HQ-segmask/00000_mask.npy          |

The split is that of CelebA, by CelebA-HQ-to-CelebA-mapping.txt: original numbers below 162,771 train, below 182,638
validation, the others test (24,183, 2,993 and 2,824 faces). With `split_by` random, 70, 15 and 15 % of all faces are
drawn instead, as in "Less is More" (arXiv 2308.12114), whose own list is not repeated: faces of one person may then be
in two splits. Images are brought to 256 × 256 unless told otherwise.

Source: C.-H. Lee, Z. Liu, L. Wu, P. Luo, "MaskGAN", CVPR 2020, arXiv 1907.11922; the order is that of its g_mask.py.
The data may be used without commerce only, and are not passed on: they are read from the user's disk.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
from pydantic import Field as Option

from winnow.data.disk.arrays import read_npy
from winnow.data.disk.decoding import classes_of
from winnow.data.disk.pictures import MODES, flat, open_picture, read_image, whole_numbers
from winnow.data.disk.records import FilePart, Record, constant, faulty
from winnow.data.disk.tables import Table, number_of, read_spaced
from winnow.data.layouts.layout import DiskLayout, LayoutData, no_file
from winnow.data.sample import Array, DataError, Field, Split

_PARTS = """
skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck cloth
"""
PARTS = tuple(_PARTS.split())
PAINTED_3 = MappingProxyType({"skin": 2, "hair": 1})  # in this order
_ATTRIBUTES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry
Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young
"""
ATTRIBUTES = tuple(_ATTRIBUTES.split())
POSE = ("yaw", "pitch", "roll")
SPREAD = 15.0  # degrees, about; the loss of the pose is in units of it
BOUNDS: Mapping[Split, tuple[int, int]] = MappingProxyType(
    {"train": (0, 162_771), "val": (162_771, 182_638), "test": (182_638, 202_600)}
)
IMAGES, MASKS, MASKS_3 = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-segmask"
MAPPING, OF_ATTRIBUTES = "CelebA-HQ-to-CelebA-mapping.txt", "CelebAMask-HQ-attribute-anno.txt"
OF_POSE = "CelebAMask-HQ-pose-anno.txt"
PER_FOLDER = 2000
SINGLE = ("Male", "Smiling")  # attributes that are tasks by themselves too, as in "Less is More" (arXiv 2308.12114)
KNOWN = {
    **{name.lower(): Field(kind="classification", classes=("no", "yes")) for name in SINGLE},
    "attributes": Field(kind="multilabel", classes=ATTRIBUTES),
    "pose": Field(kind="vector", classes=POSE, unit="°", scale=SPREAD),
}
OF_19 = {"seg": Field(kind="segmentation", classes=("background", *PARTS)), **KNOWN}
OF_3 = {"seg": Field(kind="segmentation", classes=("background", "hair", "skin")), **KNOWN}
Masks = Callable[[Path, int], FilePart]
Numbers = Callable[[Path, Split], list[int]]
SHARES: Mapping[Split, tuple[float, float]] = MappingProxyType(
    {"train": (0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1)}
)
RANDOM = 0  # seed of the random split


def numbers_of_celeba(path: Path, split: Split) -> list[int]:
    """Return the numbers of a split's faces, in the order of the mapping."""
    low, high = BOUNDS[split]
    return [number for number, original in _originals(path).items() if low <= original < high]


def numbers_at_random(path: Path, split: Split) -> list[int]:
    """Return 70, 15 or 15 % of the faces of the mapping, drawn once and for all; ascending."""
    known = np.array(sorted(_originals(path)))
    low, high = (round(share * len(known)) for share in SHARES[split])
    return sorted(known[np.random.default_rng(RANDOM).permutation(len(known))[low:high]].tolist())


def celeba_records(root: Path, split: Split, masks: Masks, numbers_of: Numbers = numbers_of_celeba) -> list[Record]:
    """Return the faces of a split, `masks` being what reads the parts of a face by its number."""
    numbers = numbers_of(root / MAPPING, split)
    there = _names(root / IMAGES)
    attributes, pose = _attributes(root / OF_ATTRIBUTES), _pose(root / OF_POSE)
    records = []
    for number in numbers:
        path = root / IMAGES / f"{number}.jpg"
        targets = {"seg": masks(root, number), **attributes(number), "pose": pose(number)}
        whole = f"{number}.jpg" in there
        image = FilePart((path,), partial(read_image, path)) if whole else no_file(path.parent, "image", path.name)
        records.append(Record(str(number), image, targets))
    return records


def painted(root: Path, number: int, order: Mapping[str, int]) -> FilePart:
    """Return what paints the parts of a face one over the other, {part: class} in this order."""
    folder = root / MASKS / str(number // PER_FOLDER)
    there = _names(folder) if folder.is_dir() else frozenset()
    names = {part: f"{number:05d}_{part}.png" for part in PARTS}
    known = [folder / name for name in names.values() if name in there]
    if not known:
        return no_file(folder, "seg", f"{number:05d}_….png")
    paths = {folder / name: order[part] for part, name in names.items() if name in there and part in order}
    return FilePart((*paths, known[0]), partial(_paint, paths, known[0]), str(folder), scaled=True)


def _paint(paths: Mapping[Path, int], of_size: Path) -> Array:
    """Return the canvas with every part; `of_size` is a mask that says how large it is."""
    canvas = np.zeros(_mask(of_size).shape, np.int8)
    for path, kind in paths.items():
        mask = _mask(path)
        if mask.shape != canvas.shape:
            raise DataError(str(path), "mask", f"of the size of the others, {canvas.shape}", mask.shape)
        canvas[mask] = kind
    return canvas


def _mask(path: Path) -> Array:
    """Return where a mask is set, (H, W) bool: 255 in its first channel, 0 elsewhere."""
    picture, _ = open_picture(path)
    if picture.format == "JPEG" or picture.mode not in ("1", "L", "P", "RGB"):
        raise DataError(str(path), "mask", "grey or RGB, without loss", MODES.get(picture.mode, picture.mode))
    values = np.asarray(picture.convert("RGB" if picture.mode == "P" else picture.mode))
    first = (values[:, :, 0] if values.ndim == 3 else values).astype(np.int64) * (255 if values.dtype == bool else 1)
    found: Array = classes_of(path, first, (0, 255), ()) == 1
    return found


def _mask_3(root: Path, number: int) -> FilePart:
    path = root / MASKS_3 / f"{number:05d}_mask.npy"
    if path.name not in _names(path.parent):
        return no_file(path.parent, "seg", path.name)
    return FilePart((path,), partial(_read_mask_3, path), str(path), scaled=True)


def _read_mask_3(path: Path) -> Array:
    values = whole_numbers(path, flat(path, read_npy(path)))
    return classes_of(path, np.where(values == 255, 0, values), (0, 1, 2), ())


def _originals(path: Path) -> dict[int, int]:
    """Return the number in CelebA of each face, in the order of the mapping."""
    table = read_spaced(path, 2, ("orig_idx", "orig_file"))
    found = {}
    for name in table.rows:
        original = number_of(table.cell(name, "orig_idx"))
        if not name.isdecimal() or int(name) in found or original is None or not 0 <= original < BOUNDS["test"][1]:
            said = " ".join(table.rows[name][1])
            raise DataError(table.line(name), "row", "a number that occurs once, and one below 202,600", said)
        found[int(name)] = int(original)
    return found


def _attributes(path: Path) -> Callable[[int], dict[str, FilePart]]:
    """Return what gives the attributes of a face, all together and those that are tasks by themselves."""
    table = read_spaced(path, len(ATTRIBUTES))
    unknown = [name for name in table.columns[1:] if name not in ATTRIBUTES]
    if unknown:
        raise DataError(str(path), "header", "the 40 attributes of CelebA", unknown[0])

    def part(number: int) -> dict[str, FilePart]:
        cells = [table.cell(str(number), name) for name in ATTRIBUTES]
        wrong = next((cell for cell in cells if cell not in ("-1", "1")), None)
        if wrong is not None:
            error = DataError(table.line(str(number)), "attributes", "-1 or 1", wrong or "no row of this face")
            return {**{name.lower(): faulty(error) for name in SINGLE}, "attributes": faulty(error)}
        known = [int(cell == "1") for cell in cells]
        single = {name.lower(): known[ATTRIBUTES.index(name)] for name in SINGLE}
        return {
            name: FilePart((path,), partial(constant, own, True))
            for name, own in {**single, "attributes": known}.items()
        }

    return part


def _pose(path: Path) -> Callable[[int], FilePart]:
    """Return what gives the pose of a head; without its file, an error once it is asked for."""
    table: Table | None = read_spaced(path, len(POSE), POSE) if path.is_file() else None

    def part(number: int) -> FilePart:
        if table is None:
            return FilePart((), partial(_no_pose, path), str(path))
        cells = [number_of(table.cell(str(number), name)) for name in POSE]
        if any(cell is None or np.isnan(cell) for cell in cells):
            said = " ".join(table.rows[str(number)][1]) if str(number) in table.rows else "no row of this face"
            return faulty(DataError(table.line(str(number)), "pose", "three finite numbers", said))
        return FilePart((path,), partial(constant, cells, False))

    return part


def _no_pose(path: Path) -> Array:
    raise DataError(str(path), "pose", "in a file", "no such file", "Leave the task out, or copy the file.")


def _names(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        raise DataError(str(folder), "folder", "there", "no such folder")
    return _listed(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _listed(folder: Path, _: int) -> frozenset[str]:
    return frozenset(os.listdir(folder))


TABLES = (MAPPING, OF_ATTRIBUTES, OF_POSE)
RAW = {part: place for place, part in enumerate(PARTS, 1)}
COUNTS: Mapping[Split, int] = MappingProxyType({"train": 24_183, "val": 2_993, "test": 2_824})
SPLITS: tuple[Split, ...] = ("train", "val", "test")
LAYOUTS: Mapping[str, DiskLayout] = MappingProxyType(
    {
        "raw": DiskLayout(
            "a mask per part, 19 classes",
            (IMAGES, MASKS, MAPPING, OF_ATTRIBUTES),
            OF_19,
            partial(celeba_records, masks=partial(painted, order=RAW)),
            SPLITS,
            TABLES,
            COUNTS,
        ),
        "raw3": DiskLayout(
            "a mask per part, of which hair and skin are used: 3 classes",
            (IMAGES, MASKS, MAPPING, OF_ATTRIBUTES),
            OF_3,
            partial(celeba_records, masks=partial(painted, order=PAINTED_3)),
            SPLITS,
            TABLES,
            COUNTS,
            asked_for=True,
        ),
        "masks3": DiskLayout(
            "masks of 3 classes as .npy",
            (IMAGES, MASKS_3, MAPPING, OF_ATTRIBUTES),
            OF_3,
            partial(celeba_records, masks=_mask_3),
            SPLITS,
            TABLES,
            COUNTS,
        ),
    }
)


class CelebaData(LayoutData):
    """CelebAMask-HQ, faces, from a folder in one of its layouts."""

    summary = "CelebAMask-HQ: faces with their parts at every pixel, 40 attributes and the pose of the head."
    known = MappingProxyType(OF_19)
    layouts = LAYOUTS

    dataset: Literal["celeba"] = "celeba"
    height: int = Option(256, ge=0, le=16384, description="height that images are resized to; 0: as they are stored")
    width: int = Option(256, ge=0, le=16384, description="width that images are resized to; 0: as they are stored")
    split_by: Literal["celeba", "random"] = Option(
        "celeba", description="how faces are split. celeba: as CelebA is; random: 70, 15 and 15 % of all faces"
    )

    @property
    def counts(self) -> Mapping[Split, int]:
        """How many faces CelebA's splits have; nothing is known of random ones."""
        return super().counts if self.split_by == "celeba" else {}

    def records(self, split: Split) -> list[Record]:
        """Return the faces of a split, not yet read."""
        if self.split_by == "celeba":
            return super().records(split)
        found = cast(partial[list[Record]], self.arrangement.records)
        return found(self.folder, split, numbers_of=numbers_at_random)
