"""Shards of the user's own: samples in tar files as the package webdataset writes them, described by a dataset.toml.

A member is called KEY.ENDING; members of one key, one after the other, are one sample. In dataset.toml

    [images] path        the ending of the image: "jpg"
    [splits] train, val  patterns of the tar files below the folder: "train-*.tar"
    [tasks.NAME] path    the ending of a dense target: "seg.png"
    [tasks.NAME] table   the ending of a JSON object, of which `column` or `columns` name the values: "json"

Members are found once, by the headers of the tar files, and read where they lie: any order can be replayed, several
processes share every batch without a sample twice, and a run resumes with the same bits. A buffer of samples that is
shuffled on the way, as streaming readers have it, gives none of these. No pickle is read, whatever its ending.
"""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, Literal, cast

from winnow.data.disk.pictures import read_image
from winnow.data.disk.records import FilePart, Record, constant, faulty
from winnow.data.disk.tables import number_of
from winnow.data.folder.dataset import FolderData, splits_of
from winnow.data.folder.description import NAME, Description, Target
from winnow.data.folder.targets import MEANINGS, OPTIONAL, READERS
from winnow.data.sample import Array, DataError, Split

AGAIN = "Copy the file again, or write it again."
LARGEST_JSON = 2**20  # bytes


@dataclass(frozen=True)
class TarMember:
    """A file in a tar file, with as much of `pathlib.Path` as the readers of files use."""

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        """Return where it is, for messages."""
        return f"{self.shard}/{self.name}"

    @property
    def suffix(self) -> str:
        """The last ending, with its dot."""
        return PurePosixPath(self.name).suffix

    def is_file(self) -> bool:
        """Return that it is a file."""
        return True

    def stat(self) -> SimpleNamespace:
        """Return its size."""
        return SimpleNamespace(st_size=self.size)

    def read_bytes(self) -> bytes:
        """Return its content; of a tar file that was cut off since, a `DataError`."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) != self.size:
            raise DataError(str(self), "content", f"{self.size} bytes", len(content), AGAIN)
        return content

    def open(self, _: str = "rb") -> io.BytesIO:
        """Return its content as a file."""
        return io.BytesIO(self.read_bytes())


class ShardsData(FolderData):
    """Your own images in tar files as webdataset writes them, described by a dataset.toml beside them."""

    summary = "Your own images in tar files as webdataset writes them, described by a dataset.toml beside them."

    dataset: Literal["shards"] = "shards"  # type: ignore[assignment]  # a folder that is read in another way

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Return whether tar files are described."""
        return (folder / NAME).is_file() and next(folder.rglob("*.tar"), None) is not None

    @classmethod
    def spreads_filled(cls, description: Description, folder: Path) -> Description:
        """Return the description; a task of numbers must give its spread, else a `DataError`."""
        for name, task in description.tasks.items():
            if task.kind in ("regression", "vector") and task.spread is None:
                expected = "given for numbers in shards: a typical deviation"
                raise DataError(str(folder / NAME), f"tasks.{name}.spread", expected, "none")
            if task.folder:
                raise DataError(str(folder / NAME), f"tasks.{name}.folder", "left out for shards", "true")
        return description

    def described(self) -> list[Path]:
        """Return dataset.toml."""
        return [self.folder / NAME]

    def records(self, split: Split) -> list[Record]:
        """Return the samples of a split, in the order of the shards."""
        said = self.said
        channels = 3 if said.images.channels == "rgb" else 1
        found = []
        for key, members in self._samples(split).items():
            image = members.get(said.images.path)
            read = partial(read_image, cast(Path, image), channels, said.images.convert)
            first = next(iter(members.values()))
            absent = DataError(str(first.shard), "image", f"a member {key}.{said.images.path}", "none")
            part = FilePart((image.shard,), read, str(image)) if image else faulty(absent)
            targets = {name: _part(name, task, (key, members)) for name, task in said.tasks.items()}
            found.append(Record(key, part, targets))
        return found

    def _samples(self, split: Split) -> dict[str, Mapping[str, TarMember]]:
        """Return the members of each sample of a split, by key and ending."""
        own: dict[str, Mapping[str, TarMember]] = {}
        for shard in self._shards(split):
            for key, members in members_of(shard, shard.stat().st_mtime_ns).items():
                if key in own:
                    both = f"{next(iter(own[key].values())).shard.name} and {shard.name}"
                    raise DataError(str(shard), key, "the key of one sample", f"one in {both}")
                own[key] = members
        return own

    def _shards(self, split: Split) -> list[Path]:
        patterns = {name: getattr(self.said.splits, name) for name in splits_of(self.said)}
        if self.said.splits.shares:
            raise DataError(str(self.folder / NAME), "splits", "patterns of tar files for each split", "shares")
        shards = {name: sorted(self.folder.glob(pattern)) for name, pattern in patterns.items()}
        if wrong := [path for path in shards[split] if path.suffix != ".tar"]:
            mend = "Unpack compressed shards: they cannot be read at any place."
            raise DataError(str(wrong[0]), "shard", "a file .tar", wrong[0].suffix or "none", mend)
        if not shards[split]:
            raise DataError(str(self.folder), split, f"tar files {patterns[split]}", "none")
        for other in shards:
            if other != split and (common := set(shards[other]) & set(shards[split])):
                raise DataError(str(min(common)), "splits", "a shard of one split", f"one of {split} and {other}")
        return shards[split]


def _files_in(shard: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the regular members whose bytes are all there; those of the format's own are left out."""
    size = os.path.getsize(shard)
    with tarfile.open(shard, "r:") as tar:
        for member in tar:
            if not member.isreg() or member.name.startswith("__"):
                continue
            if member.offset_data + member.size > size:
                raise tarfile.ReadError("unexpected end of data")
            yield member


@lru_cache(maxsize=4096)
def members_of(shard: Path, _: int) -> Mapping[str, Mapping[str, TarMember]]:
    """Return the members of a tar file by key and ending; `_` is the time of its last change.

    Raises:
        DataError: it is no whole tar file, or a key has an ending twice.

    """
    found: dict[str, dict[str, TarMember]] = {}
    try:
        for member in _files_in(shard):
            folder, _slash, name = member.name.rpartition("/")
            stem, _dot, ending = name.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if ending.lower() in found.setdefault(key, {}):
                raise DataError(f"{shard}/{member.name}", "name", "one that occurs once", "two members")
            found[key][ending.lower()] = TarMember(shard, member.name, member.offset_data, member.size)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(str(shard), "content", "a complete tar file", said, AGAIN) from error
    return MappingProxyType(found)


def _part(task: str, target: Target, sample: tuple[str, Mapping[str, TarMember]]) -> FilePart | None:
    """Return what reads the target of a sample; None where it may be missing and is."""
    key, members = sample
    ending = target.path or target.table
    member = members.get(ending)
    if member is None:
        shard = next(iter(members.values())).shard
        error = DataError(str(shard), task, f"a member {key}.{ending or '?'}", "none", OPTIONAL)
        return None if target.optional else faulty(error)
    if target.path:
        read: Callable[[], Array] = partial(READERS[target.kind], cast(Path, member), target)
    else:
        read = partial(_from_json, task, target, member)
    return FilePart((member.shard,), read, str(member))


def _from_json(task: str, target: Target, member: TarMember) -> Array:
    """Return the values that a JSON object has under the names of the columns."""
    try:
        found: Any = json.loads(member.read_bytes()) if member.size <= LARGEST_JSON else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(str(member), "content", "a JSON object of at most 1 MiB", "something else", AGAIN)
    whole = target.kind in ("classification", "multilabel")
    unknown = -1 if whole else float("nan")
    values = [_value((task, column), target, member, found) for column in target.columns or (target.column,)]
    known = [unknown if value is None else value for value in values]
    return constant(known if target.columns else known[0], whole)


def _value(names: tuple[str, str], target: Target, member: TarMember, found: Mapping[str, Any]) -> float | None:
    task, column = names
    value = found.get(column)
    if value is None:
        if target.optional:
            return None
        raise DataError(str(member), task, f"a value of {column!r}", "none", OPTIONAL)
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if (number := number_of(text)) is not None and number in target.absent():
        return None
    meant = MEANINGS[target.kind](target, text) if isinstance(value, bool | int | float | str) else None
    if meant is None:
        mend = f"Correct it, or describe it in {NAME}."
        raise DataError(str(member), task, f"a value of {column!r} that {NAME} describes", f"{value!r:.80}", mend)
    return meant
