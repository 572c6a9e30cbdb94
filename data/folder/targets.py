"""From the description of a task to what reads the target of one image."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from winnow.data.disk.arrays import read_npy
from winnow.data.disk.decoding import StoredNumbers, classes_of, depth_of, directions_of, is_missing
from winnow.data.disk.paths import named_files
from winnow.data.disk.pictures import ENDINGS, read_colours, read_labels, read_numbers
from winnow.data.disk.records import FilePart, constant, faulty
from winnow.data.disk.tables import Table, number_of, read_csv
from winnow.data.folder.description import NAME, SAMPLE, Target
from winnow.data.sample import Array, DataError

NAMED = "Name it in `classes`, or list it in `missing`."
OPTIONAL = "Set `optional = true` for the task if not every image has one."


def dense_parts(
    task: str, target: Target, place: Path, images: Mapping[str, Path], below: Path
) -> dict[str, FilePart | None]:
    """Return what reads the dense target of each image, {name: part}; None where it has none.

    `place` is a folder, or a pattern with {name}; `below` is the folder that the names of the images start from.

    Raises:
        DataError: there is no folder.

    """
    found = _by_pattern(place, images, below) if SAMPLE in place.as_posix() else _by_name(place, images)
    read = READERS[target.kind]
    parts: dict[str, FilePart | None] = {}
    for name in images:
        if name in found:
            parts[name] = FilePart((found[name],), partial(read, found[name], target))
        else:
            error = DataError(str(place), task, "a file for every image", f"none for {name}", OPTIONAL)
            parts[name] = None if target.optional else faulty(error)
    return parts


def cell_parts(task: str, target: Target, path: Path, images: Mapping[str, Path]) -> dict[str, FilePart | None]:
    """Return the target of each image from a table; None where all its cells are empty or there is no row.

    Raises:
        DataError: there is no such table or column.

    """
    table = read_csv(path, target.key, target.delimiter)
    columns = target.columns or (target.column,)
    table.require_columns(columns)
    cells, whole = Cells(task, target, table), target.kind in ("classification", "multilabel")
    found: dict[str, FilePart | None] = {}
    for name in images:
        try:
            values = [cells.value(name, column) for column in columns]
        except DataError as error:
            found[name] = faulty(error)
            continue
        filled = [(-1 if whole else math.nan) if value is None else value for value in values]
        empty = all(value is None for value in values)
        read = partial(constant, filled if target.columns else filled[0], whole)
        found[name] = None if empty else FilePart((path,), read)
    return found


@dataclass(frozen=True)
class Cells:
    """The cells of a table as targets of a task."""

    task: str
    target: Target
    table: Table

    def value(self, row: str, column: str) -> float | None:
        """Return what a cell says, None where it is missing; anything that is not understood is a `DataError`."""
        text = self.table.cell(row, column)
        number = number_of(text)
        listed = number is not None and bool(is_missing(np.asarray(number), self.target.absent()))
        if listed or (not text and self.target.optional):
            return None
        if not text:
            found = f"an empty cell in column {column}" if row in self.table.rows else "no row"
            raise DataError(self.table.line(row), self.task, "given for every image", found, OPTIONAL)
        value = MEANINGS[self.target.kind](self.target, text)
        if value is None:
            mend = f"Correct the cell, or describe it in {NAME}."
            raise DataError(self.table.line(row), self.task, f"{self._expected()} in column {column}", text, mend)
        return value

    def _expected(self) -> str:
        """Return in words what a cell may hold."""
        target = self.target
        if target.kind == "classification":
            return f"one of {', '.join(target.classes)}, or a stored number of one,"
        if target.kind == "multilabel":
            return " or ".join(map(str, target.stored()))
        return f"a finite number{f' from {target.range[0]:g} to {target.range[1]:g}' if target.range else ''}"


def folder_parts(task: str, target: Target, images: Mapping[str, Path]) -> dict[str, FilePart | None]:
    """Return the class of each image: the first folder in its name."""
    found: dict[str, FilePart | None] = {}
    for name, path in images.items():
        first, inside, _ = name.partition("/")
        if not inside or first not in target.classes:
            expected = f"an image in a folder called {', '.join(target.classes)}"
            found[name] = faulty(DataError(str(path), task, expected, first if inside else "one in no folder"))
        else:
            found[name] = FilePart((path,), partial(constant, target.classes.index(first), True))
    return found


def _by_pattern(place: Path, images: Mapping[str, Path], below: Path) -> dict[str, Path]:
    """Return the file of each image whose name completes the pattern, composed or as the disk writes it."""
    found: dict[str, Path] = {}
    for name, image in images.items():
        written = image.relative_to(below).with_suffix("").as_posix()
        paths = [Path(str(place).replace(SAMPLE, own)) for own in (written, name)]
        if (path := next((path for path in paths if path.is_file()), None)) is not None:
            found[name] = path
    return found


def _by_name(place: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    known = named_files(place, ENDINGS)
    return {name: known[name] for name in images if name in known}


def _segmentation(path: Path, target: Target) -> Array:
    return classes_of(path, read_labels(path), target.stored(), target.absent(), NAMED)


def _depth(path: Path, target: Target) -> Array:
    low, high = target.range or (0.0, 1000.0)
    return replace(depth_of(target.factor, target.absent((0.0,)), high), low=low).decode(path, read_numbers(path))


def _map(path: Path, target: Target) -> Array:
    low, high = target.range or (-math.inf, math.inf)
    return StoredNumbers(target.absent(), target.factor, low, high, target.unit or "1").decode(path, read_numbers(path))


def _normals(path: Path, target: Target) -> Array:
    if path.suffix.lower() != ".npy":
        return directions_of(path, read_colours(path), target.absent())
    values = read_npy(path)
    if values.dtype.kind != "f":
        mend = "Store floats in [-1, 1], or a picture, whose bytes are centred at 127.5."
        raise DataError(str(path), "dtype", "float", f"{values.dtype}, which may or may not be centred", mend)
    return directions_of(path, values, target.absent())


def _class(target: Target, cell: str) -> int | None:
    if cell in target.classes:
        return target.classes.index(cell)
    number = int(cell) if cell.isascii() and cell.lstrip("-").isdigit() else None
    stored = target.stored()
    return stored.index(number) if number in stored else None


def _label(target: Target, cell: str) -> int | None:
    stored = [str(value) for value in target.stored()]
    return stored.index(cell) if cell in stored else None


def _number(target: Target, cell: str) -> float | None:
    value = number_of(cell)
    if value is None or math.isnan(value):
        return None
    value *= 1.0 if target.factor is None else target.factor
    low, high = target.range or (-math.inf, math.inf)
    return value if low <= value <= high else None


READERS: Mapping[str, Callable[[Path, Target], Array]] = MappingProxyType(
    {"segmentation": _segmentation, "edges": _segmentation, "depth": _depth, "normals": _normals, "map": _map}
)
"""What reads a target from a file, by the kind of dense task."""
MEANINGS: Mapping[str, Callable[[Target, str], float | None]] = MappingProxyType(
    {"classification": _class, "multilabel": _label, "regression": _number, "vector": _number}
)
"""What a cell means, by the kind of the other tasks; None: nothing that it may mean."""
