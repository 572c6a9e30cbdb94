"""A data set read once into arrays, by one process or several.

Workers are fresh interpreters that import `data` and numpy and nothing else: while they start, `__main__` is an empty
module, which keeps them from importing the program that called, its torch and its web server. Samples come back in
order, so that the arrays do not depend on the number of workers.
"""

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from winnow.data.sample import Array, DataError, Dataset, Field, Sample
from winnow.data.validation import validate

CHUNK = 16
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Stacked:
    """N images (N, H, W, C), uint8 or float32 in [0, 1], and their targets (N, …) by field name."""

    images: Array
    targets: dict[str, Array]


def stack(dataset: Dataset, names: Sequence[str], progress: Progress | None = None, workers: int = 1) -> Stacked:
    """Read and check every sample once; return the images and the targets called `names`.

    `progress` is called with (done, total) after each sample. With `workers` > 1 the data set is sent to that many
    processes, so that it must pickle. Raises `ValueError` for a name that is no field or workers < 1, `DataError` for
    a sample that breaks its promise, for shapes or types that differ between samples, and for an empty data set.
    """
    unknown = [name for name in names if name not in dataset.fields]
    if unknown:
        raise ValueError(f"`names` should be among {', '.join(dataset.fields)}. Found {unknown[0]!r}.")
    if workers < 1:
        raise ValueError(f"`workers` should be at least 1. Found {workers}.")
    total = len(dataset)
    if not total:
        raise DataError(dataset.name, "length", "at least 1", 0)
    chosen = tuple(names)
    samples = _read(dataset, chosen, range(total)) if workers == 1 else _share(dataset, chosen, workers)
    columns: list[Array] = []
    for index, row in enumerate(samples):
        if not columns:
            columns = [np.empty((total, *value.shape), value.dtype) for value in row]
        for part, column, value in zip(("image", *chosen), columns, row, strict=True):
            _check_alike(column, value, f"{dataset.name}[{index}]", part)
            column[index] = value
        if progress is not None:
            progress(index + 1, total)
    return Stacked(columns[0], dict(zip(chosen, columns[1:], strict=True)))


def _check_alike(column: Array, value: Array, where: str, part: str) -> None:
    if column.shape[1:] != value.shape or column.dtype != value.dtype:
        first = f"{column.dtype} of shape {column.shape[1:]}, as in the first sample"
        raise DataError(where, part, first, f"{value.dtype} of shape {value.shape}")


def _read(dataset: Dataset, names: tuple[str, ...], indices: range) -> Iterator[list[Array]]:
    fields: dict[str, Field] = {name: dataset.fields[name] for name in names}
    for index in indices:
        sample: Sample = validate(dataset.sample(index), fields, f"{dataset.name}[{index}]")
        yield [np.asarray(sample.image), *(np.asarray(sample.targets[name]) for name in names)]


def _read_all(dataset: Dataset, names: tuple[str, ...], indices: range) -> list[list[Array]]:
    return list(_read(dataset, names, indices))


def _share(dataset: Dataset, names: tuple[str, ...], workers: int) -> Iterator[list[Array]]:
    """Yield the rows in order, read in chunks by several processes; what is left is dropped if the caller stops."""
    total = len(dataset)
    chunks = [range(low, min(low + CHUNK, total)) for low in range(0, total, CHUNK)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        with _hidden_main(dataset):
            waiting = [pool.submit(_read_all, dataset, names, chunk) for chunk in chunks]
        try:
            for future in waiting:
                yield from future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _hidden_main(dataset: Dataset) -> Iterator[None]:
    """Put an empty module in the place of `__main__`, unless the data set is defined in it."""
    main = sys.modules["__main__"]
    if type(dataset).__module__ != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
