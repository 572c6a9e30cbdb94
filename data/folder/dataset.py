"""A folder of the user's own: images, and for each task files or a column of a table, as dataset.toml says."""

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field as Option
from pydantic import model_validator

from winnow.data.disk.geometry import Frame
from winnow.data.disk.paths import data_folder, named_files
from winnow.data.disk.pictures import read_image
from winnow.data.disk.records import FilePart, Record
from winnow.data.disk.spec import DiskData
from winnow.data.disk.tables import row_name, text_of
from winnow.data.folder.description import NAME, SPLIT, Description, Target, read_description
from winnow.data.folder.targets import cell_parts, dense_parts, folder_parts
from winnow.data.sample import DataError, Field, Split


class FolderData(DiskData):
    """Your own images, described by a dataset.toml in their folder."""

    summary = (
        "Your own images: a folder, and a dataset.toml in it that says which tasks there are and where their targets "
        "are. docs/data.md shows one."
    )
    known = MappingProxyType({})

    dataset: Literal["folder"] = "folder"
    description: Description | None = Option(
        None, description="what dataset.toml says", json_schema_extra={"filled_in": True}
    )

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Return whether images are described, not tar files of them."""
        return (folder / NAME).is_file() and next(folder.rglob("*.tar"), None) is None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        """Take the description from the folder, so that a stored spec holds it."""
        if not isinstance(values, dict) or not values.get("root") or values.get("description"):
            return values
        folder = data_folder(values["root"])
        return {**values, "description": cls.spreads_filled(read_description(folder), folder)}

    @classmethod
    def spreads_filled(cls, description: Description, folder: Path) -> Description:
        """Return a description whose numbers have a spread."""
        return with_spreads(description, folder)

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.description is not None and not self.root:
            raise ValueError("`root` must be the folder with the files, got none")
        return self

    @property
    def said(self) -> Description:
        """What dataset.toml says; without a folder there is none, which is a `DataError`."""
        if self.description is None:
            data_folder(self.root)
            raise DataError(self.root, "description", f"read from {NAME}", "none")
        return self.description

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image; nothing without a folder."""
        return {name: task.field() for name, task in self.description.tasks.items()} if self.description else {}

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that are described."""
        return splits_of(self.description) if self.description else ("train", "val")

    @property
    def frame(self) -> Frame:
        """How its images come to one size."""
        return Frame(self.said.images.size, self.said.images.crop)

    def described(self) -> list[Path]:
        """Return dataset.toml and the lists of names."""
        lists = [] if SPLIT in self.said.images.path else [getattr(self.said.splits, split) for split in self.splits]
        return [self.folder / name for name in (NAME, *lists) if name]

    def records(self, split: Split) -> list[Record]:
        """Return the images of a split with what reads their targets."""
        return records_of(self.folder, self.said, split)


def splits_of(description: Description) -> tuple[Split, ...]:
    """Return the splits that a description has."""
    third = len(description.splits.shares) == 3 or bool(description.splits.test)
    return ("train", "val", "test") if third else ("train", "val")


def records_of(folder: Path, description: Description, split: Split) -> list[Record]:
    """Return the images of a split with what reads their targets.

    Raises:
        DataError: a folder, a list or a table is missing or contradicts the images; an image has no target.

    """
    images = named_images(folder, description, split)
    placed = {name: targets_of((folder, description, split), name, images) for name in description.tasks}
    channels = 3 if description.images.channels == "rgb" else 1
    return [
        Record(
            name,
            FilePart((path,), partial(read_image, path, channels, description.images.convert)),
            {task: parts[name] for task, parts in placed.items()},
        )
        for name, path in images.items()
    ]


def targets_of(
    where: tuple[Path, Description, Split], task: str, images: Mapping[str, Path]
) -> dict[str, FilePart | None]:
    """Return what reads the targets of one task, by the name of the image."""
    folder, description, split = where
    target = description.tasks[task]
    if target.folder:
        return folder_parts(task, target, images)
    own = description.splits
    path = folder / (target.path or target.table).replace(SPLIT, getattr(own, split))
    if target.table:
        return cell_parts(task, target, path, images)
    below = folder / description.images.path.replace(SPLIT, getattr(own, split))
    return dense_parts(task, target, path, images, below)


def named_images(folder: Path, description: Description, split: Split) -> dict[str, Path]:
    """Return the images of a split by name, in order.

    Raises:
        DataError: a list names an image that is not there, or one twice, or two lists name the same one.

    """
    if SPLIT in description.images.path:
        return named_files(folder / description.images.path.replace(SPLIT, getattr(description.splits, split)))
    found = named_files(folder / description.images.path)
    if description.splits.shares:
        return {name: found[name] for name in _share(sorted(found), description, split)}
    lists = {own: _listed(folder / getattr(description.splits, own)) for own in splits_of(description)}
    _require_apart(folder, lists)
    absent = [name for name in lists[split] if name not in found]
    if absent:
        source = str(folder / getattr(description.splits, split))
        said = f"{absent[0]}, the first of {len(absent)} without one"
        raise DataError(source, split, f"names of images below {description.images.path}", said)
    return {name: found[name] for name in lists[split]}


def with_spreads(description: Description, folder: Path) -> Description:
    """Return a description whose numbers have a spread: where none is given, that of the training targets.

    Raises:
        DataError: the training images have no targets that vary.

    """
    tasks = {name: _with_spread(folder, description, name, own) for name, own in description.tasks.items()}
    return description.model_copy(update={"tasks": tasks})


def _with_spread(folder: Path, description: Description, name: str, task: Target) -> Target:
    if task.kind not in ("regression", "vector") or task.spread is not None:
        return task
    parts = targets_of((folder, description, "train"), name, named_images(folder, description, "train"))
    known = [part.read() for part in parts.values() if part is not None and part.fault is None]
    columns = np.stack(known).reshape(len(known), -1).astype(np.float64) if known else np.zeros((0, 1))
    varying = [own[~np.isnan(own)].std() for own in columns.T if (~np.isnan(own)).any()]
    spread = math.sqrt(float(np.mean(np.square(varying)))) if varying else 0.0
    if not spread > 0:
        raise DataError(str(folder / task.table), name, "numbers that vary over the training images", "none or one")
    return task.model_copy(update={"spread": float(f"{spread:.6g}")})


def _share(names: list[str], description: Description, split: Split) -> list[str]:
    splits = description.splits
    order = np.random.default_rng(splits.seed).permutation(len(names))
    bounds = [round(len(names) * edge) for edge in np.cumsum([0.0, *splits.shares])]
    place = ("train", "val", "test").index(split)
    return [names[k] for k in sorted(order[bounds[place] : bounds[place + 1]])]


@lru_cache(maxsize=16)
def _list_of(path: Path, _: tuple[int, int]) -> tuple[str, ...]:
    names = [row_name(line) for line in text_of(path).splitlines() if line.strip()]
    repeated = [name for name, own in Counter(names).items() if own > 1]
    if repeated:
        said = f"{repeated[0]} more than once"
        raise DataError(str(path), "names", "different from each other", said, "Remove the repeated line.")
    return tuple(names)


def _listed(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise DataError(str(path), "split", "a file with one name per line", "no such file")
    stat = path.stat()
    return _list_of(path, (stat.st_size, stat.st_mtime_ns))


def _require_apart(folder: Path, lists: Mapping[Split, tuple[str, ...]]) -> None:
    seen: dict[str, str] = {}
    for split, names in lists.items():
        for name in names:
            if name in seen:
                said = f"{name} in {seen[name]} and {split}"
                raise DataError(str(folder), "splits", "without a common image", said, "Keep it in one of them.")
            seen[name] = split
