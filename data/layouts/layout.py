"""Layouts of public data sets as they are found on disks: each known by the files that only it has."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

from pydantic import Field as Option
from pydantic import model_validator

from winnow.data.disk.geometry import Frame
from winnow.data.disk.paths import data_folder, named_files
from winnow.data.disk.records import FilePart, Record, faulty
from winnow.data.disk.spec import DiskData
from winnow.data.disk.tables import text_of
from winnow.data.sample import Array, DataError, Field, Split

Read = Callable[[Path], Array]
Records = Callable[[Path, Split], list[Record]]


@dataclass(frozen=True)
class DiskLayout:
    """One way in which a data set is stored.

    `signs` are patterns of files and folders that it has, or has not if they begin with "!"; `about` says it in a line.
    `records` returns the samples of a split in a folder. `described` names further files that decide what a sample is.
    """

    about: str
    signs: tuple[str, ...]
    fields: Mapping[str, Field]
    records: Records
    splits: tuple[Split, ...] = ("train", "val")
    described: tuple[str, ...] = field(default=())
    counts: Mapping[Split, int] = field(default_factory=dict)  # samples of each split, where all copies have as many
    asked_for: bool = False  # only by name: its files are those of another layout, read in another way

    def matches(self, folder: Path) -> bool:
        """Return whether its signs are there."""
        return all(_there(folder, sign.removeprefix("!")) != sign.startswith("!") for sign in self.signs)


def _there(folder: Path, sign: str) -> bool:
    return next(folder.glob(sign), None) is not None


class LayoutData(DiskData):
    """A public data set in one of the layouts that it is found in; the layout is recognised, and stored in the spec."""

    layouts: ClassVar[Mapping[str, DiskLayout]]  # the usual one first

    layout: str = Option(
        "", max_length=40, description="how the files are arranged; not set: recognised from the files"
    )
    height: int = Option(0, ge=0, le=16384, description="height that images are resized to; 0: as they are stored")
    width: int = Option(0, ge=0, le=16384, description="width that images are resized to; 0: as they are stored")
    crop: bool = Option(False, description="cut images to the proportions of height and width before they are resized")

    @model_validator(mode="before")
    @classmethod
    def _recognise(cls, values: Any) -> Any:
        """Fill in the layout, so that a stored spec holds it."""
        if not isinstance(values, dict) or not values.get("root") or values.get("layout"):
            return values
        return {**values, "layout": recognised(data_folder(values["root"]), cls.layouts)}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.layout and self.layout not in self.layouts:
            raise ValueError(f"`layout` must be one of {', '.join(self.layouts)}, got {self.layout!r}.")
        if bool(self.height) != bool(self.width):
            raise ValueError(f"`height` and `width` must be given together, got {self.height} and {self.width}.")
        if self.crop and not self.height:
            raise ValueError("`height` and `width` must be given with `crop`, got neither.")
        return self

    @property
    def arrangement(self) -> DiskLayout:
        """The layout, the usual one as long as no folder is given."""
        return self.layouts[self.layout or next(iter(self.layouts))]

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image in this layout."""
        return self.arrangement.fields

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the layout has."""
        return self.arrangement.splits

    @property
    def counts(self) -> Mapping[Split, int]:
        """How many samples the splits of the whole data set have, where that is known."""
        return self.arrangement.counts

    @property
    def frame(self) -> Frame:
        """How its images come to one size."""
        return Frame((self.height, self.width) if self.height else None, self.crop)

    def described(self) -> list[Path]:
        """Return the lists and tables of the layout that are there."""
        return [path for name in self.arrangement.described if (path := self.folder / name).is_file()]

    def records(self, split: Split) -> list[Record]:
        """Return the samples of a split, not yet read, in their order."""
        return self.arrangement.records(self.folder, split)


def recognised(folder: Path, layouts: Mapping[str, DiskLayout]) -> str:
    """Return the name of the layout of a folder.

    Raises:
        DataError: it has none of them, or several.

    """
    found = [name for name, layout in layouts.items() if layout.matches(folder) and not layout.asked_for]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            str(folder), "layout", "the only one that fits", " or ".join(found), "Give it with --layout NAME."
        )
    known = "; ".join(f"{name}: {', '.join(layout.signs)}" for name, layout in layouts.items() if not layout.asked_for)
    below = [own.name for own in sorted(folder.iterdir()) if own.is_dir() and _any(own, layouts)]
    mend = f"Give its folder {below[0]} instead." if below else ""
    raise DataError(str(folder), "root", f"a folder with the files of a layout ({known})", "none of them", mend)


def _any(folder: Path, layouts: Mapping[str, DiskLayout]) -> bool:
    return any(layout.matches(folder) for layout in layouts.values())


def one_file_each(
    folder: Path, task: str, names: Sequence[str], read: Read, endings: Sequence[str]
) -> dict[str, FilePart]:
    """Return what reads the file of each name in a folder.

    A folder that is not there is an error of each sample when its task is used, so that the other tasks can be.
    """
    if not folder.is_dir():
        return {name: FilePart((), partial(_no_folder, folder, task), str(folder)) for name in names}
    found = named_files(folder, endings)
    return {
        name: FilePart((found[name],), partial(read, found[name])) if name in found else no_file(folder, task, name)
        for name in names
    }


def no_file(folder: Path, task: str, name: str) -> FilePart:
    """Return the part of a sample whose file a folder lacks."""
    return faulty(DataError(str(folder), task, "a file for every image", f"none for {name}", "Copy what is missing."))


def _no_folder(folder: Path, task: str) -> Array:
    raise DataError(str(folder), task, "in a folder", "no such folder", "Leave the task out, or copy its folder.")


def rows_of(path: Path, split: str, parts: Sequence[str]) -> list[list[str]]:
    """Return the rows of a split in a JSON file {split: [row, …]}: paths below its folder, one for each of the parts.

    Raises:
        DataError: there is no such file or split, or a row holds something else, a path that leaves the folder, or
            one of no file.

    """
    try:
        rows = json.loads(text_of(path))[split]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(str(path), "content", f"JSON with a list {split!r}", repr(error)) from error
    if not isinstance(rows, list):
        raise DataError(str(path), split, "a list of rows", type(rows).__name__)
    for number, row in enumerate(rows):
        where = f"{path}, {split}[{number}]"
        if not isinstance(row, list) or len(row) != len(parts) or not all(isinstance(name, str) for name in row):
            raise DataError(where, "row", f"{len(parts)} paths: {', '.join(parts)}", row)
        for name in row:
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts:
                raise DataError(where, "row", "paths below the folder", name)
            if not (path.parent / name).is_file():
                raise DataError(where, "row", "files that are there", f"no {name}")
    return rows


def together(
    names: Sequence[str], images: Mapping[str, FilePart], targets: Mapping[str, Mapping[str, FilePart]]
) -> list[Record]:
    """Return the records of the names."""
    return [Record(name, images[name], {task: parts[name] for task, parts in targets.items()}) for name in names]
