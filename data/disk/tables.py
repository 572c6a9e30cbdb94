"""Tables as text, CSV and alike: every cell by the name of its row and of its column, each problem with its line."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from winnow.data.disk.arrays import require_file
from winnow.data.disk.paths import plain_name
from winnow.data.sample import DataError


@dataclass(frozen=True)
class Table:
    """The cells of a text table: rows by name, each with its line in the file."""

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[int, tuple[str, ...]]]

    def cell(self, row: str, column: str) -> str:
        """Return a cell, "" where the table has no such row."""
        found = self.rows.get(row)
        return found[1][self.columns.index(column)] if found else ""

    def line(self, row: str) -> str:
        """Return where a row is, for messages."""
        return f"{self.path}, line {self.rows[row][0]}" if row in self.rows else f"{self.path}, {row}"

    def require_columns(self, names: Iterable[str]) -> None:
        """Raise `DataError` unless all columns are there."""
        for name in names:
            if name not in self.columns:
                raise DataError(str(self.path), "column", f"one of {', '.join(self.columns)}", name)


def read_csv(path: Path, key: str = "", delimiter: str = ",") -> Table:
    """Return a CSV table in UTF-8 whose first line names the columns.

    Args:
        path: the file.
        key: the column that names the row; "" for the first one. Endings of file names in it are dropped.
        delimiter: what separates cells.

    Raises:
        DataError: the file is missing, not UTF-8, has no column `key`, a row of another length, or a name twice.

    """
    require_file(path)
    stat = path.stat()
    return _read(path, key, delimiter, (stat.st_size, stat.st_mtime_ns))


def read_spaced(path: Path, cells: int, columns: Sequence[str] = ()) -> Table:
    """Return a table whose cells are separated by any number of spaces, its rows named by the first cell.

    Args:
        path: the file; a first line with nothing but a number is the count of rows, and is checked.
        cells: how many cells a row has after its name.
        columns: names of these cells; () to read them from the line before the rows. With names, such a line may be
            there or not: it is one if it holds a word where the rows hold a number.

    Raises:
        DataError: the file is missing, not UTF-8, cut off, or a row has another length or a name that was there.

    """
    lines = [(number, line.split()) for number, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    count = int(lines[0][1][0]) if lines and len(lines[0][1]) == 1 and lines[0][1][0].isdecimal() else None
    rows = lines if count is None else lines[1:]
    headed = bool(rows) and (not columns or number_of(rows[0][1][-1 if len(rows[0][1]) < 3 else 1]) is None)
    if headed and not columns:
        columns = rows[0][1]
    if len(columns) != cells or len(set(columns)) != cells:
        raise DataError(str(path), "header", f"{cells} different names", f"{len(columns)}: {' '.join(columns[:3])} …")
    rows = rows[1:] if headed else rows
    if count is not None and count != len(rows):
        mend = "Copy the file again: it is cut off."
        raise DataError(str(path), "rows", f"{count}, as the first line says", len(rows), mend)
    return named_rows(path, ("", *columns), rows)


def named_rows(path: Path, columns: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]], key: int = 0) -> Table:
    """Return a table of rows with their lines; checks lengths and names."""
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for line, cells in rows:
        if len(cells) != len(columns):
            expected = f"{len(columns)} cells, one for each column"
            raise DataError(f"{path}, line {line}", "row", expected, len(cells))
        name = row_name(cells[key])
        if name in found:
            raise DataError(f"{path}, line {line}", "row", "a name that occurs once", f"{name} again")
        found[name] = (line, tuple(cell.strip() for cell in cells))
    return Table(path, tuple(columns), found)


def row_name(cell: str) -> str:
    """Return the name of a sample that a cell or a line holds, without the ending of a file."""
    name = plain_name(cell.strip())
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() in ("png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "npy") else name


def number_of(cell: str) -> float | None:
    """Return the number that a cell holds, None where it holds none; NaN is a number here, infinity is none."""
    try:
        value = float(cell) if "_" not in cell else math.inf
    except ValueError:
        return None
    return None if math.isinf(value) else value


def text_of(path: Path) -> str:
    """Return a text file in UTF-8, with or without a byte order mark; anything else is a `DataError`."""
    require_file(path)
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {error.start} of another encoding"
        raise DataError(str(path), "content", "text in UTF-8", found, "Save it as UTF-8.") from error


@lru_cache(maxsize=8)
def _read(path: Path, key: str, delimiter: str, _: tuple[int, int]) -> Table:
    lines = csv.reader(io.StringIO(text_of(path), newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(lines.line_num, cells) for cells in lines if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num}", "row", "cells of a CSV table", error) from error
    columns = [cell.strip() for cell in rows[0][1]] if rows else []
    repeated = {name for name in columns if columns.count(name) > 1}
    if repeated or not columns:
        raise DataError(str(path), "columns", "named once each", ", ".join(sorted(repeated)) or "none")
    if key and key not in columns:
        raise DataError(str(path), "key", f"one of {', '.join(columns)}", key)
    return named_rows(path, columns, rows[1:], columns.index(key) if key else 0)
