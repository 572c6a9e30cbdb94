"""Yeast: 2,417 genes as 103 numbers each, and 14 classes of functions, of which a gene may have several.

No images: a gene is an image of 1 × 1 pixels with 103 channels, each brought from its smallest to its largest value in
the files to [0, 1]. A task per function, `class1` … `class14`, and `functions`, all of them as labels of one task.

It is read from a folder with one file, .arff or .csv, or with yeast-train.arff and yeast-test.arff, the official split.
The last 14 columns are the functions: 0 and 1, or FALSE and TRUE. Without the official split, 70 % of the genes are for
training, 15 % each for validation and test; with it, a fifth of the training genes is for validation.

Source: A. Elisseeff, J. Weston, "A kernel method for multi-labelled classification", NIPS 2001.
"""

import csv
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from winnow.data.disk.records import FilePart, Record, constant
from winnow.data.disk.spec import DiskData
from winnow.data.disk.tables import number_of, text_of
from winnow.data.sample import Array, DataError, Field, Split

FEATURES, FUNCTIONS = 103, 14
NAMES = tuple(f"class{k}" for k in range(1, FUNCTIONS + 1))
FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        **{name: Field(kind="classification", classes=("no", "yes")) for name in NAMES},
        "functions": Field(kind="multilabel", classes=NAMES),
    }
)
OFFICIAL = ("yeast-train.arff", "yeast-test.arff")
LABELS = MappingProxyType({"0": 0, "1": 1, "false": 0, "true": 1})
SHARES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}
)
OF_TRAINING: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "train": (0.0, 0.8),
        "val": (0.8, 1.0),
        "test": (0.0, 1.0),
    }  # of the official training genes, and of the test genes
)
ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+(.+)", re.IGNORECASE)


class YeastData(DiskData):
    """Functions of genes in yeast: 103 numbers, 14 tasks, without images."""

    summary = (
        "Functions of 2,417 genes in yeast from 103 numbers each: 14 tasks without images, from an ARFF or CSV file."
    )
    known = FIELDS

    dataset: Literal["yeast"] = "yeast"
    data_seed: int = Option(0, ge=0, description="seed of the split into training, validation and test genes")

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Return whether there is a table whose name begins with yeast."""
        return any(path.suffix in (".arff", ".csv") for path in folder.glob("yeast*"))

    def records(self, split: Split) -> list[Record]:
        """Return the genes of a split, in random order."""
        own = _files(self.folder)
        official = len(own) == 2
        path = own[1] if official and split == "test" else own[0]
        low, high = (OF_TRAINING if official else SHARES)[split]
        values, functions = _read_file(path, path.stat().st_mtime_ns)
        least, spread = _range(tuple((file, file.stat().st_mtime_ns) for file in own))
        order = np.random.default_rng(self.data_seed).permutation(len(values))
        first, end = round(low * len(values)), round(high * len(values))
        return [_record(path, int(row), (values[row] - least) / spread, functions[row]) for row in order[first:end]]


def _record(path: Path, row: int, values: Array, functions: Array) -> Record:
    image = np.clip(values, 0, 1).astype(np.float32)[None, None]
    targets: dict[str, Any] = dict(zip(NAMES, functions.tolist(), strict=True))
    targets["functions"] = functions
    parts = {name: FilePart((path,), partial(constant, own, True)) for name, own in targets.items()}
    return Record(f"{path.stem}[{row}]", FilePart((path,), partial(np.asarray, image), f"{path}, gene {row}"), parts)


def _files(folder: Path) -> list[Path]:
    official = [folder / name for name in OFFICIAL]
    if all(path.is_file() for path in official):
        return official
    found = sorted(path for ending in ("*.arff", "*.csv") for path in folder.glob(ending))
    if len(found) != 1:
        expected = f"a folder with one .arff or .csv file, or with {' and '.join(OFFICIAL)}"
        raise DataError(str(folder), "root", expected, ", ".join(path.name for path in found) or "none")
    return found


@lru_cache(maxsize=4)
def _range(files: tuple[tuple[Path, int], ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.concatenate([_read_file(*file)[0] for file in files])
    spread = values.max(0) - values.min(0)
    return values.min(0), np.where(spread > 0, spread, 1.0)


@lru_cache(maxsize=4)
def _read_file(path: Path, _: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the features (N, 103) and the functions (N, 14) of a file."""
    numbered = list(enumerate(text_of(path).splitlines(), 1))
    rows = _arff_rows(path, numbered) if path.suffix == ".arff" else [row for row in numbered if row[1].strip()][1:]
    if not rows:
        raise DataError(str(path), "rows", "at least one gene", "none")
    return _numbers(path, [(line, next(csv.reader([text]))) for line, text in rows])


def _arff_rows(path: Path, lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    attributes, start = 0, None
    for number, text in lines:
        attributes += bool(ATTRIBUTE.match(text.strip()))
        if text.strip().lower() == "@data":
            start = number
            break
    if start is None or attributes != FEATURES + FUNCTIONS:
        expected = f"{FEATURES + FUNCTIONS} attributes and @data"
        raise DataError(str(path), "header", expected, f"{attributes}{'' if start else ' and no @data'}")
    return [(number, text) for number, text in lines[start:] if text.strip() and not text.startswith("%")]


def _numbers(path: Path, rows: list[tuple[int, list[str]]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    features, functions = [], []
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != FEATURES + FUNCTIONS or cells[0].lstrip().startswith("{"):
            found = "a sparse row" if cells[0].lstrip().startswith("{") else f"{len(cells)} cells"
            raise DataError(where, "row", f"{FEATURES} numbers and {FUNCTIONS} functions", found)
        values = [number_of(cell.strip()) for cell in cells[:FEATURES]]
        labels = [LABELS.get(cell.strip().lower(), -1) for cell in cells[FEATURES:]]
        for place, value in enumerate(values):
            if value is None or value != value:
                raise DataError(where, f"column {place + 1}", "a finite number", cells[place].strip() or "nothing")
        if -1 in labels:
            raise DataError(where, NAMES[labels.index(-1)], "0 or 1", cells[FEATURES + labels.index(-1)].strip())
        features.append(values)
        functions.append(labels)
    return np.array(features, np.float64), np.array(functions, np.int64)
