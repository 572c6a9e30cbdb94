"""The official file of NYU-v2, nyu_depth_v2_labeled.mat, and the two small ones that say its splits and classes.

The large file is MATLAB 7.3, that is HDF5, where every array has its axes reversed: images (1449, 3, 640, 480) uint8,
rawDepths (1449, 640, 480) float32 [m], 0 where the sensor saw nothing, labels (1449, 640, 480) uint16, 0 unlabelled,
1 … 894. splits.mat holds trainNdxs and testNdxs, counted from 1; classMapping40.mat mapClass (1, 894) → 1 … 40.
The depth here is `rawDepths`: what was measured, without the holes that `depths` has painted in.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.data.disk.arrays import require_file
from winnow.data.disk.decoding import classes_of, depth_of
from winnow.data.disk.records import FilePart, Record
from winnow.data.sample import Array, DataError, Split

LARGE = "nyu_depth_v2_labeled.mat"
FARTHEST = 20.0
SHAPES = {"images": (3, 640, 480), "labels": (640, 480), "rawDepths": (640, 480)}
RAW = 894  # classes before they are mapped to 40


def official_records(root: Path, split: Split) -> list[Record]:
    """Return the samples of a split: `val` is testNdxs."""
    path, indices = root / LARGE, _indices(root / "splits.mat", split)
    count = _count(path)
    if indices.max() > count:
        raise DataError(str(root / "splits.mat"), split, f"numbers from 1 to {count}", indices.max())
    return [
        Record(
            f"{number:04d}",
            FilePart((path,), partial(_image, path, number - 1)),
            {
                "seg": FilePart((path,), partial(_classes, root, number - 1)),
                "depth": FilePart((path,), partial(_depth, path, number - 1)),
            },
        )
        for number in indices.tolist()
    ]


def _image(path: Path, row: int) -> Array:
    return np.ascontiguousarray(_row(path, "images", row).transpose(2, 1, 0))


def _depth(path: Path, row: int) -> Array:
    return depth_of(high=FARTHEST).decode(path, np.ascontiguousarray(_row(path, "rawDepths", row).T))


def _classes(root: Path, row: int) -> Array:
    labels = _row(root / LARGE, "labels", row).T.astype(np.int64)
    if labels.max() > RAW:
        raise DataError(str(root / LARGE), f"labels[{row}]", f"numbers from 0 to {RAW}", labels.max())
    stat = (root / "classMapping40.mat").stat()
    mapping = _mapping(root / "classMapping40.mat", (stat.st_size, stat.st_mtime_ns))
    mapped = np.concatenate([[0], mapping])[labels]
    return classes_of(root / LARGE, np.ascontiguousarray(mapped), tuple(range(1, 41)), (0,))


@lru_cache(maxsize=4)
def _mapping(path: Path, _: tuple[int, int]) -> NDArray[np.int64]:
    found = read_mat(path, "mapClass").reshape(-1).astype(np.int64)
    if len(found) != RAW or found.min() < 1 or found.max() > 40:
        said = f"{len(found)} numbers from {found.min()} to {found.max()}" if len(found) else "none"
        raise DataError(str(path), "mapClass", f"{RAW} numbers from 1 to 40", said)
    return found


def _indices(path: Path, split: Split) -> NDArray[np.int64]:
    own, other = (read_mat(path, name).reshape(-1).astype(np.int64) for name in ("trainNdxs", "testNdxs"))
    shared = np.intersect1d(own, other)
    if shared.size:
        raise DataError(str(path), "testNdxs", "without the images of trainNdxs", f"{shared[0]} in both")
    chosen = own if split == "train" else other
    if not chosen.size or chosen.min() < 1 or len(np.unique(chosen)) < len(chosen):
        raise DataError(str(path), split, "different numbers, counted from 1", f"{len(chosen)} numbers")
    return chosen


def _count(path: Path) -> int:
    with _opened(path) as file:
        for name, shape in SHAPES.items():
            found = file[name].shape if name in file else "none"
            if found == "none" or found[1:] != shape or found[0] != file["images"].shape[0]:
                raise DataError(str(path), name, f"of shape (images, {', '.join(map(str, shape))})", found)
        return int(file["images"].shape[0])


def _row(path: Path, name: str, row: int) -> Array:
    with _opened(path) as file:
        try:
            values: Array = np.asarray(file[name][row])
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise DataError(str(path), f"{name}[{row}]", "readable", error, "Copy the file again.") from error
    return values


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    require_file(path)
    if find_spec("h5py") is None:
        found, mend = "no package h5py", "Run pip install 'winnow-mtl[data]'."
        raise DataError(str(path), "file", "read with h5py, as it is HDF5 (MATLAB 7.3)", found, mend)
    import h5py  # type: ignore[import-untyped]  # an extra, without types; half a second

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        mend = "Copy it again: it is cut off or damaged."
        raise DataError(str(path), "content", "a MATLAB 7.3 file (HDF5)", error, mend) from error
    with file:
        yield file


def read_mat(path: Path, name: str) -> Array:
    """Return a variable of numbers of a MATLAB file.

    Raises:
        DataError: there is no such file or variable, it is damaged, of version 7.3, or holds something else.

    """
    from scipy.io import loadmat, whosmat  # type: ignore[import-untyped]  # half a second to import
    from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]  # ships no types

    require_file(path)
    try:
        names = [found for found, _, _ in whosmat(path)]
        if name not in names:
            raise DataError(str(path), "variable", name, f"only {', '.join(names) or 'none'}")
        values = loadmat(path, variable_names=[name])[name]
    except (MatReadError, NotImplementedError, ValueError, TypeError, KeyError, OSError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise _damaged(path, error) from error
    except (zlib.error, struct.error, IndexError, MemoryError, OverflowError) as error:
        raise _damaged(path, error) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise DataError(str(path), name, "numbers", f"{getattr(values, 'dtype', type(values).__name__)}")
    return values


def _damaged(path: Path, error: Exception) -> DataError:
    said = " ".join(str(error).split()) or type(error).__name__
    return DataError(str(path), "content", "a complete MATLAB file of version 4 to 7", said, "Copy it again.")
