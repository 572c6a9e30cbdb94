"""A data set read once into arrays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.data.blame import error_line, users_line
from winnow.data.disk.ahead import in_order
from winnow.data.disk.records import OnDisk
from winnow.data.sample import Array, DataError, Dataset, Field, Sample
from winnow.data.validation import validate

Progress = Callable[[int, int], None]
Allocate = Callable[[str, tuple[int, ...], np.dtype[Any]], Array]
IMAGE = "image"


@dataclass(frozen=True)
class Stacked:
    """N images (N, H, W, C), uint8 or float32 in [0, 1], and their targets (N, …) by field name.

    `turns` holds the lengths of consecutive parts that no batch mixes; () for one part.
    """

    images: Array
    targets: dict[str, Array]
    turns: tuple[int, ...] = ()


def stack(
    dataset: Dataset, names: Sequence[str], progress: Progress | None = None, allocate: Allocate | None = None
) -> Stacked:
    """Read and check every sample once; return the images and the targets called `names`.

    `progress` is called with (done, total) after each sample. `allocate` gives the array that a part is written to,
    from its name ("image" or a target's), shape and type; not given: memory.

    Raises:
        ValueError: a name is no field of the data set.
        DataError: a sample is not what its fields say, shapes or types differ between samples, or there is no sample.

    """
    unknown = [name for name in names if name not in dataset.fields]
    if unknown:
        raise ValueError(f"`names` must be among {', '.join(dataset.fields)}, got {unknown[0]!r}.")
    total, parts = len(dataset), (IMAGE, *names)
    if not total:
        raise DataError(dataset.name, "length", "at least 1", 0)
    columns: list[Array] = []
    for index, row in enumerate(_alike(dataset, parts, progress)):
        if not columns:
            given = zip(parts, row, strict=True)
            columns = [(allocate or _in_memory)(part, (total, *value.shape), value.dtype) for part, value in given]
        for column, value in zip(columns, row, strict=True):
            column[index] = value
    return Stacked(columns[0], dict(zip(names, columns[1:], strict=True)))


def require_whole(dataset: Dataset, names: Sequence[str], progress: Progress | None = None) -> None:
    """Read and check every sample once, as `stack` does, and keep none; raise the same errors."""
    for _ in _alike(dataset, (IMAGE, *names), progress):
        pass


def _in_memory(_: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return np.empty(shape, dtype)


def _alike(dataset: Dataset, parts: tuple[str, ...], progress: Progress | None) -> Iterator[list[Array]]:
    """Yield the parts of every sample, checked, of one shape and type each."""
    first: list[Array] = []
    for index, row in enumerate(_read(dataset, parts[1:])):
        first = first or row
        for part, expected, value in zip(parts, first, row, strict=True):
            _check_alike(expected, value, _where(dataset, index), part)
        yield row
        if progress is not None:
            progress(index + 1, len(dataset))


def _check_alike(expected: Array, value: Array, where: str, part: str) -> None:
    if expected.shape != value.shape or expected.dtype != value.dtype:
        first = f"{expected.dtype} of shape {expected.shape}, as in the first sample"
        raise DataError(where, part, first, f"{value.dtype} of shape {value.shape}")


def _read(dataset: Dataset, names: tuple[str, ...]) -> Iterator[list[Array]]:
    """Yield the image and the targets of every sample; files are read ahead by several threads."""
    fields: dict[str, Field] = {name: dataset.fields[name] for name in names}

    def row(index: int) -> list[Array]:
        sample = validate(_sample(dataset, index), fields, _where(dataset, index))
        return [np.asarray(sample.image), *(np.asarray(sample.targets[name]) for name in names)]

    return in_order(row, len(dataset)) if isinstance(dataset, OnDisk) else map(row, range(len(dataset)))


def _sample(dataset: Dataset, index: int) -> Sample:
    """Return a sample; an error of code of the user's own is said with the sample and the line."""
    try:
        return dataset.sample(index)
    except MemoryError:
        raise
    except Exception as error:
        if not (line := users_line(error)):
            raise
        raise DataError(_where(dataset, index), "sample", "readable", f"{error_line(error)} in {line}") from error


def _where(dataset: Dataset, index: int) -> str:
    return dataset.where(index) if isinstance(dataset, OnDisk) else f"{dataset.name}[{index}]"
