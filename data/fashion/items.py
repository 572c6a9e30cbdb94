"""Photographs of clothes: Fashion-MNIST, the subset that comes with the package, or all of it from a folder.

All of it is in IDX files: an array of bytes behind a header of big-endian numbers, plain or gzipped (Y. LeCun,
C. Cortes, "The MNIST database of handwritten digits"):

    0x00 0x00 0x08 ndim | length of each dimension, uint32 | the bytes, last dimension fastest

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv 1708.07747; MIT licence (LICENSE.txt beside this file).
"""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from winnow.data.sample import DataError, Split

SIDE = 28
CLASSES = (
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
SUBSET = Path(__file__).with_name("subset.npz")
UNSIGNED_BYTES = b"\x00\x00\x08"
FILES: Mapping[str, str] = MappingProxyType({"train": "train", "test": "t10k"})


@dataclass(frozen=True)
class Items:
    """Single items: images (N, 28, 28) uint8 and classes (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def items(split: Split, root: str = "") -> Items:
    """Return the items of a split: of the training images, or of the first or the second half of the test images.

    Args:
        split: "train", "val" (first half of the test images) or "test" (second half): no item is in two of them.
        root: a folder with the four IDX files, gzipped or not (Debian's package dataset-fashion-mnist has them in
            /usr/share/datasets/fashion-mnist); "" for the 6,000 + 2,000 images of the package.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.

    """
    part = "train" if split == "train" else "test"
    found = _read(root, part)
    if split == "train":
        return found
    half = len(found.labels) // 2
    kept = slice(0, half) if split == "val" else slice(half, None)
    return Items(found.images[kept], found.labels[kept])


@lru_cache(maxsize=4)
def _read(root: str, part: str) -> Items:
    if root:
        folder, name = Path(root).expanduser(), FILES[part]
        found = Items(
            read_idx(folder / f"{name}-images-idx3-ubyte", 3), read_idx(folder / f"{name}-labels-idx1-ubyte", 1)
        )
    else:
        with np.load(SUBSET, allow_pickle=False) as stored:
            found = Items(stored[f"{part}_images"], stored[f"{part}_labels"])
    return _checked(found, root or str(SUBSET))


def _checked(found: Items, where: str) -> Items:
    if found.images.shape[1:] != (SIDE, SIDE):
        raise DataError(where, "images", f"{SIDE} × {SIDE} pixels", found.images.shape[1:])
    if len(found.images) != len(found.labels):
        raise DataError(where, "labels", f"one for each of {len(found.images)} images", len(found.labels))
    if len(found.labels) < 4:
        raise DataError(where, "images", "at least 4", len(found.labels))
    if found.labels.max() >= len(CLASSES):
        raise DataError(where, "labels", f"0 to {len(CLASSES) - 1}", found.labels.max())
    return found


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array that a file `NAME` or `NAME.gz` holds.

    Raises:
        DataError: there is no such file, it cannot be unpacked, or it is not an IDX file of so many dimensions and as
            long as its header says.

    """
    content = _content(path)
    start = 4 + 4 * dimensions
    if len(content) < start or content[:3] != UNSIGNED_BYTES or content[3] != dimensions:
        raise DataError(str(path), "header", f"that of an IDX file of bytes with {dimensions} dimensions", content[:4])
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = int(np.prod(shape, dtype=object))
    if len(content) - start != expected:
        raise DataError(str(path), "length", f"{expected} bytes after the header, for {shape}", len(content) - start)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    packed = path.with_name(f"{path.name}.gz")
    if path.is_file():
        return path.read_bytes()
    if not packed.is_file():
        raise DataError(str(path.parent), "root", f"a folder with {path.name} or {packed.name}", "neither")
    try:
        return gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(str(packed), "content", "a complete gzip file", error) from error
