"""Samples whose image and targets are files: what each part is read from, and the data set that they make."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from winnow.data.disk.geometry import Frame, nearest_pixels, require_size
from winnow.data.kinds import KINDS
from winnow.data.parameters import checked_index
from winnow.data.sample import Array, DataError, Field, Sample
from winnow.data.validation import validate


@dataclass(frozen=True)
class FilePart:
    """An image or a target: the files that it comes from, and what reads them into the array that `Field` promises."""

    files: tuple[Path, ...]
    read: Callable[[], Array]
    place: str = ""
    scaled: bool = False  # stored at another size than the image, of the same proportions
    fault: DataError | None = None  # what is known to be wrong with it before it is read

    @property
    def where(self) -> str:
        """Where it is, for messages: `place`, or the first file."""
        return self.place or str(self.files[0])


def faulty(error: DataError) -> FilePart:
    """Return a part that is known to be wrong before it is read: a missing file, a cell that is not understood."""
    return FilePart((), partial(_refuse, error), error.where, fault=error)


def _refuse(error: DataError) -> Array:
    raise error


@dataclass(frozen=True)
class Record:
    """A sample before it is read: its name in the data set, its image, its targets; None: not labelled."""

    name: str
    image: FilePart
    targets: Mapping[str, FilePart | None]

    @property
    def parts(self) -> list[FilePart]:
        """The image, and the targets that there are."""
        return [self.image, *(part for part in self.targets.values() if part is not None)]

    @property
    def files(self) -> list[Path]:
        """All files that it is read from."""
        return [file for part in self.parts for file in part.files]


class Targets(Mapping[str, Array]):
    """The targets of a record, each read when it is asked for, once."""

    def __init__(self, record: Record, fields: Mapping[str, Field], size: tuple[int, int], frame: Frame) -> None:
        self._record, self._fields, self._size, self._frame = record, fields, size, frame
        self._known: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def _read(self, name: str) -> Array:
        field, part = self._fields[name], self._record.targets[name]
        if part is None:
            return KINDS[field.kind].unknown(self._frame.size or self._size, len(field.classes))
        values = part.read()
        if not field.dense:
            return values
        if part.scaled:
            return self._brought(values, part.where, name)
        require_size(values, self._size, field, (part.where, name))
        return self._frame.of_target(values)

    def _brought(self, values: Array, where: str, name: str) -> Array:
        """Return a target of another size in the frame, or at the size of its image."""
        if values.shape[0] * self._size[1] != values.shape[1] * self._size[0]:
            raise DataError(where, name, f"of the proportions of its image, {self._size}", values.shape[:2])
        return self._frame.of_target(values) if self._frame.size else nearest_pixels(values, self._size)


class OnDisk:
    """A split of a data set on disk; nothing is held in memory."""

    def __init__(self, name: str, fields: Mapping[str, Field], records: Sequence[Record], frame: Frame) -> None:
        self.name, self.fields, self.records, self.frame = name, fields, records, frame

    def __len__(self) -> int:
        return len(self.records)

    def where(self, index: int) -> str:
        """Return the file of an image, for messages."""
        return self.records[index].image.where

    def sample(self, index: int) -> Sample:
        """Return the sample at `index`, 0 ≤ index < len, else raise `IndexError`.

        The image is read now, and each target when it is asked for.

        Raises:
            DataError: a file is missing, damaged, or not what it should be.

        """
        record = self.records[checked_index(index, len(self))]
        image = record.image.read()
        return Sample(self.frame.of_image(image), Targets(record, self.fields, image.shape[:2], self.frame))

    def fault(self, index: int) -> DataError | None:
        """Return what is wrong with a sample, the first part of it; None where every part that is there is right."""
        record = self.records[index]
        known = [part.fault for part in record.parts if part.fault is not None]
        if known:
            return known[0]
        there = {task: part for task, part in record.targets.items() if part is None or part.files}
        try:
            sample = self.sample(index)
            validate(sample, {}, record.image.where)
            for task, part in there.items():
                validate(sample, {task: self.fields[task]}, part.where if part else record.image.where)
        except DataError as error:
            return error
        return None


def constant(value: object, whole: bool) -> Array:
    """Return what a cell of a table says as the target of an image."""
    return np.asarray(value, np.int64 if whole else np.float32)
