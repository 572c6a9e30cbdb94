"""What all data sets on disk have in common: a folder, a layout that is recognised, one size for all images."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field as Option
from pydantic import field_validator

from winnow.data.disk.ahead import in_order
from winnow.data.disk.geometry import Frame
from winnow.data.disk.paths import by_place, data_folder
from winnow.data.disk.records import OnDisk, Record
from winnow.data.fingerprint import fingerprint
from winnow.data.sample import DataError, Split
from winnow.data.spec import DataSpec
from winnow.data.trust import folder_is_confirmed


class DiskData(DataSpec):
    """A data set in a folder of the user's; a subclass says which records a split has, and which files describe them.

    Everything that `fields` and `splits` need is in the spec: a run can be looked at where its images are not.
    """

    verb = "reading"

    root: str = Option("", max_length=4096, description="folder with the files of the data set")
    cache: str = Option(
        "",
        max_length=4096,
        description="folder for arrays that are ready to train on; they are mapped from disk, so that a split takes "
        "no memory of its own; not set: each run reads all files into memory",
    )

    skip_bad: bool = Option(
        False,
        description="leave out samples that cannot be read or hold wrong values, and list them; not set: they stop the "
        "run at its start",
    )

    @field_validator("root", "cache")
    @classmethod
    def _absolute(cls, path: str) -> str:
        """Store whole paths: the worker, and whoever resumes the run, may be in another folder."""
        return str(Path(path).expanduser().absolute()) if path else path

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Return whether the files in a folder are surely of this data set."""
        return False

    @property
    def folder(self) -> Path:
        """The folder, which is there; otherwise `DataError`."""
        return data_folder(self.root)

    @property
    def cache_here(self) -> str:
        """The folder of the cache; "" where there is none, or nobody on this machine has named it (`data.trust`).

        A spec may come from somebody else: nothing is written where it alone says. Then the files are read each time.
        """
        return self.cache if self.cache and folder_is_confirmed(self.cache) else ""

    @property
    def frame(self) -> Frame:
        """How its images come to one size."""
        return Frame()

    def records(self, split: Split) -> list[Record]:
        """Return the samples of a split, not yet read, in their order; parts that are missing are faulty ones."""
        raise NotImplementedError(f"{type(self).__name__}.records")

    def sound_records(self, split: Split) -> list[Record]:
        """Return the samples of a split; with `skip_bad`, those of which every part can be read and is right.

        Raises:
            DataError: a part of one is known to be wrong; the message says how many are.

        """
        found = self.records(split)
        if self.skip_bad:
            return [record for record, fault in zip(found, self._faults(found, split), strict=True) if fault is None]
        faults = [part.fault for record in found for part in record.parts if part.fault is not None]
        if len(faults) == 1:
            raise faults[0]
        if faults:
            one = faults[0]
            said = f"{one.found}, the first of {len(faults)} findings in {split}"
            raise DataError(one.where, one.part, one.expected, said, one.mend)
        return found

    def skipped(self, split: Split) -> list[DataError]:
        """Return what is wrong with the samples of a split that `skip_bad` leaves out: the first fault of each."""
        faults = self._faults(self.records(split), split) if self.skip_bad else ()
        return [fault for fault in faults if fault is not None]

    def _faults(self, found: list[Record], split: Split) -> tuple[DataError | None, ...]:
        stats = [(str(file), file.stat()) for record in found for file in record.files if file.is_file()]
        state = hash(tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))
        return faults_of(type(self), self.model_dump_json(), split, state)

    def described(self) -> list[Path]:
        """Return the files, beside those of the records, that decide what a sample is."""
        return []

    def load(self, split: Split) -> OnDisk:
        """Return a split, not yet read.

        Raises:
            DataError: there is no such folder, split or list of names, or the split is empty.

        """
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise DataError(self.dataset, "split", f"one of {known}", split, "The data set has no other.")
        return self.opened(split, self.sound_records(split))

    def opened(self, split: Split, records: list[Record]) -> OnDisk:
        """Return the data set of some records of a split; of none, a `DataError`."""
        if not records:
            raise DataError(str(self.folder), split, "a split with at least one image", "none")
        return OnDisk(self.dataset, self.fields, records, self.frame)

    def options(self, split: Split) -> dict[str, Any]:
        """Return nothing: a split is loaded by `load`."""
        return {}

    def fingerprint(self) -> str:
        """Return a digest of the files of all splits, and of those that describe them."""
        return fingerprint(self.files())

    def files(self) -> Mapping[str, Path]:
        """Return all files that decide what a sample is, by their place in the folder."""
        found = {file for split in self.splits for record in self.sound_records(split) for file in record.files}
        return by_place(self.folder, sorted({*found, *self.described()}))


@lru_cache(maxsize=8)
def faults_of(kind: type[DiskData], spec: str, split: Split, state: int) -> tuple[DataError | None, ...]:
    """Return the first fault of each sample of a split, None where all is right; every file is read.

    `spec` is the data set as JSON, `state` what changes with its files. A task of which nothing is there is no fault of
    a sample: a run that uses it is refused.
    """
    whole = kind.model_validate_json(spec)
    data = OnDisk(whole.dataset, whole.fields, whole.records(split), whole.frame)
    return tuple(in_order(data.fault, len(data)))
