"""A data set read once into arrays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from winnow.data.sample import Array, DataError, Dataset, Field, Sample
from winnow.data.validation import validate

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Stacked:
    """N images (N, H, W, C), uint8 or float32 in [0, 1], and their targets (N, …) by field name."""

    images: Array
    targets: dict[str, Array]


def stack(dataset: Dataset, names: Sequence[str], progress: Progress | None = None) -> Stacked:
    """Read and check every sample once; return the images and the targets called `names`.

    `progress` is called with (done, total) after each sample.

    Raises:
        ValueError: a name is no field of the data set.
        DataError: a sample is not what its fields say, shapes or types differ between samples, or there is no sample.

    """
    unknown = [name for name in names if name not in dataset.fields]
    if unknown:
        raise ValueError(f"`names` must be among {', '.join(dataset.fields)}, got {unknown[0]!r}.")
    total = len(dataset)
    if not total:
        raise DataError(dataset.name, "length", "at least 1", 0)
    chosen = tuple(names)
    columns: list[Array] = []
    for index, row in enumerate(_read(dataset, chosen)):
        if not columns:
            columns = [np.empty((total, *value.shape), value.dtype) for value in row]
        for part, column, value in zip(("image", *chosen), columns, row, strict=True):
            _check_alike(column, value, f"{dataset.name}[{index}]", part)
            column[index] = value
        if progress is not None:
            progress(index + 1, total)
    return Stacked(columns[0], dict(zip(chosen, columns[1:], strict=True)))


def require_whole(dataset: Dataset, names: Sequence[str], progress: Progress | None = None) -> None:
    """Read and check every sample once, as `stack` does, and keep none; raise the same errors."""
    first: list[Array] = []
    for index, row in enumerate(_read(dataset, tuple(names))):
        first = first or [value[None] for value in row]
        for part, column, value in zip(("image", *names), first, row, strict=True):
            _check_alike(column, value, f"{dataset.name}[{index}]", part)
        if progress is not None:
            progress(index + 1, len(dataset))


def _check_alike(column: Array, value: Array, where: str, part: str) -> None:
    if column.shape[1:] != value.shape or column.dtype != value.dtype:
        first = f"{column.dtype} of shape {column.shape[1:]}, as in the first sample"
        raise DataError(where, part, first, f"{value.dtype} of shape {value.shape}")


def _read(dataset: Dataset, names: tuple[str, ...]) -> Iterator[list[Array]]:
    fields: dict[str, Field] = {name: dataset.fields[name] for name in names}
    for index in range(len(dataset)):
        sample: Sample = validate(dataset.sample(index), fields, f"{dataset.name}[{index}]")
        yield [np.asarray(sample.image), *(np.asarray(sample.targets[name]) for name in names)]
