"""Everything that is wrong with a data set, found before a run starts: every file read, every value checked.

A finding is what would stop a run, or make its result wrong: a damaged file, a value out of range, images of different
sizes, an image in two splits. A note is worth knowing and may be meant: a class that never occurs, a file that belongs
to no image.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from winnow.data.checking.summaries import FieldSummary, hardly_metres
from winnow.data.disk.ahead import in_order
from winnow.data.disk.records import OnDisk
from winnow.data.disk.spec import DiskData
from winnow.data.layouts.layout import LayoutData
from winnow.data.sample import Array, DataError, Dataset, Sample, Split
from winnow.data.spec import DataSpec
from winnow.data.validation import validate

Progress = Callable[[int, int], None]
TWICE = "there once"
LIKE_DATA = {".npy", ".npz", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".exr", ".pfm", ".mat", ".h5"}
"""Endings of files that hold an image or a target: what lies beside the samples and is not read is said."""


@dataclass(frozen=True)
class Finding:
    """What is wrong: where, with which part, what was expected, what was found, how to mend it."""

    file: str
    part: str
    expected: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        """Return it in one line."""
        return " ".join(str(DataError(self.file, self.part, self.expected, self.found, self.mend)).split())


@dataclass
class SplitReport:
    """A split: how many samples, of which sizes, and what the targets hold."""

    samples: int
    sizes: Counter[str]
    fields: dict[str, FieldSummary]

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        tasks = {name: summary.record() for name, summary in self.fields.items()}
        return {"samples": self.samples, "sizes": dict(self.sizes), "tasks": tasks}


@dataclass
class Report:
    """What the doctor found."""

    dataset: str = ""
    layout: str = ""
    root: str = ""
    splits: dict[Split, SplitReport] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "dataset": self.dataset,
            "layout": self.layout,
            "root": self.root,
            "splits": {split: own.record() for split, own in self.splits.items()},
            "findings": [asdict(finding) for finding in self.findings],
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Checked:
    """A sample that was read: its digest, None if the image cannot be read; its targets that are right; findings."""

    where: str
    name: str
    digest: bytes | None
    size: str
    targets: dict[str, Array]
    findings: list[Finding]


def examine(spec: DataSpec, progress: Progress | None = None) -> Report:
    """Return what is in a data set and what is wrong with it; `progress` is called with (done, total) per sample.

    Nothing is kept of the images but a digest of their pixels. Files are read by as many threads as there are cores.
    """
    report = Report(spec.dataset, getattr(spec, "layout", ""), getattr(spec, "root", ""))
    loaded: dict[Split, Dataset] = {}
    for split in spec.splits:
        try:
            loaded[split] = opened_split(spec, split)
        except DataError as error:
            report.findings.append(found_by(error))
    total, done = sum(len(data) for data in loaded.values()), 0
    seen: dict[bytes, tuple[Split, str]] = {}
    for split, data in loaded.items():
        own = SplitReport(len(data), Counter(), {name: FieldSummary(known) for name, known in spec.fields.items()})
        report.splits[split] = own
        for checked in checked_samples(data):
            again = [
                found
                for found in _repeated(checked, split, seen)
                if isinstance(spec, DiskData) or found.expected != TWICE
            ]  # two images of a seed may be the same by chance
            report.findings += [*checked.findings, *again]
            own.sizes.update([checked.size] if checked.size else [])
            for name, values in checked.targets.items():
                own.fields[name].add(values)
            done += 1
            if progress is not None:
                progress(done, total)
    _compare_sizes(spec, report)
    report.notes += [*_counts(spec, report), *_classes(report), *_units(report)]
    if isinstance(spec, DiskData):
        report.notes += _left_over(spec, [data for data in loaded.values() if isinstance(data, OnDisk)])
    return report


def opened_split(spec: DataSpec, split: Split) -> Dataset:
    """Return a split with the samples that are known to be wrong; raise `DataError` where there is no such split."""
    return spec.opened(split, spec.records(split)) if isinstance(spec, DiskData) else spec.load(split)


def found_by(error: DataError) -> Finding:
    """Return an error as a finding."""
    return Finding(error.where, error.part, error.expected, error.found, error.mend)


def checked_samples(data: Dataset) -> Iterator[Checked]:
    """Yield every sample of a split, checked; files are read ahead."""
    check = partial(check_sample, data)
    return in_order(check, len(data)) if isinstance(data, OnDisk) else map(check, range(len(data)))


def check_sample(data: Dataset, index: int) -> Checked:
    """Read a sample; each part that is wrong is a finding, and the others are looked at nevertheless."""
    record = data.records[index] if isinstance(data, OnDisk) else None
    where = record.image.where if record else f"{data.name}[{index}]"
    name = record.name if record else str(index)
    try:
        sample = data.sample(index)
        validate(sample, {}, where)
    except DataError as error:
        return Checked(where, name, None, "", {}, [found_by(error)])
    targets, findings = {}, []
    for task, known in data.fields.items():
        part = record.targets[task] if record else None
        try:
            validate(Sample(sample.image, {task: sample.targets[task]}), {task: known}, part.where if part else where)
            targets[task] = sample.targets[task]
        except DataError as error:
            findings.append(found_by(error))
    return Checked(where, name, _digest(sample.image), _size(sample.image), targets, findings)


def _digest(image: Array) -> bytes:
    digest = hashlib.blake2b(str((image.shape, image.dtype)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.digest()


def _size(image: Array) -> str:
    height, width, channels = image.shape
    return f"{height} × {width} × {channels} {image.dtype}"


def _repeated(checked: Checked, split: Split, seen: dict[bytes, tuple[Split, str]]) -> Iterable[Finding]:
    """Return a finding if the pixels of an image are those of one seen before; remember it otherwise."""
    if checked.digest is None:
        return []
    known = seen.setdefault(checked.digest, (split, checked.name))
    if known == (split, checked.name):
        return []
    other, name = known
    leak = other != split
    expected = "in one split only" if leak else TWICE
    mend = (
        "The network would be tested on images that it was trained on. Keep each image in one split."
        if leak
        else "Remove one of them."
    )
    return [Finding(checked.where, "image", expected, f"the pixels of {name} ({other})", mend)]


def _compare_sizes(spec: DataSpec, report: Report) -> None:
    """Add that images differ in size or type, which no batch can hold.

    A description that says nothing against it is wrong. A public data set may be so: then it is a note.
    """
    sizes: Counter[str] = sum((own.sizes for own in report.splits.values()), Counter())
    if len(sizes) < 2:
        return
    said = ", ".join(f"{count} of {size}" for size, count in sizes.most_common(4))
    if spec.dataset in ("folder", "shards"):
        mend = "Set `size` in dataset.toml."
        report.findings.append(Finding(report.root, "image", "of one size and type", said, mend))
    else:
        report.notes.append(f"images differ in size: {said}. Train with --height and --width.")


def _counts(spec: DataSpec, report: Report) -> list[str]:
    """Return a note for every split that has another number of samples than the data set is known to have."""
    known = spec.counts if isinstance(spec, LayoutData) else {}
    return [
        f"{split}: {own.samples} samples; the whole data set has {known[split]}"
        for split, own in report.splits.items()
        if split in known and own.samples != known[split]
    ]


def _classes(report: Report) -> list[str]:
    """Return a note for every task with classes that no image of the training split has."""
    train = report.splits.get("train")
    absent = {name: own.absent for name, own in train.fields.items()} if train is not None else {}
    return [f"{name}: never in train: {', '.join(classes)}" for name, classes in absent.items() if classes]


def _units(report: Report) -> list[str]:
    """Return a note for every depth of which the mean says that it is hardly in metres."""
    means = [
        (f"{split}: {name}", summary.mean)
        for split, own in report.splits.items()
        for name, summary in own.fields.items()
        if summary.field.kind == "depth" and summary.mean is not None
    ]
    return [f"{name}: {said}" for name, mean in means if (said := hardly_metres(mean))]


def _left_over(spec: DiskData, splits: Iterable[OnDisk]) -> list[str]:
    """Return a note for every folder with data files that belong to no sample: nobody reads them, perhaps unmeant."""
    used = {file for data in splits for record in data.records for file in record.files} | set(_described(spec))
    endings: dict[Path, set[str]] = {}
    for file in used:
        endings.setdefault(file.parent, set()).add(file.suffix)
    notes = []
    for folder, known in sorted(endings.items()):
        known = {*known, *LIKE_DATA}
        spare = sorted(
            own.name for own in _files(folder) if {own.suffix, own.suffix.lower()} & known and own not in used
        )
        if spare:
            notes.append(f"{folder}: {len(spare)} files belong to no sample, first {spare[0]}")
    return notes


def _described(spec: DiskData) -> Sequence[Path]:
    try:
        return spec.described()
    except DataError:
        return []


def _files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        paths = [Path(entry.path) for entry in entries]
    yield from (path for path in paths if path.is_file())  # False for a link to itself, where an entry would raise
