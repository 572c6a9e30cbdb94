"""A look at a data set: every sample read and checked, what the targets hold, and pictures of some samples."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from winnow.data.checking.doctor import Report, examine, opened_split
from winnow.data.disk.records import OnDisk
from winnow.data.kinds import KINDS
from winnow.data.sample import Array, DataError, Dataset, Field
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import Writer
from winnow.engine.runs.look import COLUMNS, LARGEST, Look, list_looks, write_pictures
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.look import LookSpec

MOST_FINDINGS = 1000


class _StoppedError(Exception):
    """The user asked for the end."""


def run_look(work: Look, writer: Writer, stop_requested: StopRequest) -> str:
    """Look at a data set; return the final state, `done` or `stopped`. Older looks at it are then removed."""
    spec = work.spec

    def progress(done: int, total: int) -> None:
        if stop_requested:
            raise _StoppedError
        writer.tick(phase=f"{spec.data.verb} {spec.name}: {done} of {total}", progress=done / max(total, 1))

    try:
        report = examine(spec.data, progress)
    except _StoppedError:
        return "stopped"
    for name, rows in tables_of(report).items():
        writer.table(name, pd.DataFrame(rows, columns=pd.Index(COLUMNS[name])))
    keep_pictures(spec, writer)
    for older in list_looks(spec.name, work.path.parent):
        if older.id < work.id and older.status.state not in LIVE:
            shutil.rmtree(older.path, ignore_errors=True)
    return "done"


def tables_of(report: Report) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each table."""
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in COLUMNS}
    for split, own in report.splits.items():
        found["splits"].append((split, own.samples, ", ".join(own.sizes)))
        for task, summary in own.fields.items():
            record = summary.record()
            held = (record["kind"], summary.field.unit, record["images"], own.samples, record["known"])
            found["coverage"].append((split, task, *held))
            for name, count in record.get("classes", {}).items():
                found["classes"].append((split, task, name, count, record["shares"][name]))
            for part, histogram in summary.histograms.items():
                found["values"] += [(split, task, part, *row) for row in histogram.rows()]
    found["findings"] = [tuple(asdict(finding).values()) for finding in report.findings[:MOST_FINDINGS]]
    found["notes"] = [(note,) for note in report.notes]
    if len(report.findings) > MOST_FINDINGS:
        found["notes"].append((f"{len(report.findings)} findings, of which the first {MOST_FINDINGS} are listed",))
    return found


def keep_pictures(spec: LookSpec, writer: Writer) -> None:
    """Write some samples of each split, evenly spaced; one whose image cannot be read is left out."""
    arrays: dict[str, Array] = {}
    samples: list[dict[str, Any]] = []
    for split in spec.data.splits:
        try:
            data = opened_split(spec.data, split)
        except DataError:  # it is among the findings
            continue
        for index in np.unique(np.linspace(0, len(data) - 1, spec.pictures).astype(int)).tolist():
            known = dict(_shown(data, index))
            if "image" in known:
                arrays |= {f"{len(samples)}.{name}": value for name, value in known.items()}
                where = data.where(index) if isinstance(data, OnDisk) else ""
                samples.append({"split": split, "index": index, "where": where})
    tasks = {
        name: {"kind": field.kind, "classes": list(field.classes), "unit": field.unit}
        for name, field in spec.data.fields.items()
    }
    write_pictures(writer.folder, arrays, {"samples": samples, "tasks": tasks})


def _shown(data: Dataset, index: int) -> Iterator[tuple[str, Array]]:
    """Yield the image of a sample and its targets, reduced, as far as they can be read."""
    try:
        sample = data.sample(index)
    except DataError:
        return
    by = -(-max(sample.image.shape[:2]) // LARGEST)
    image = sample.image[::by, ::by]
    image = image if image.dtype == np.uint8 else np.clip(255 * image, 0, 255).round().astype(np.uint8)
    if image.shape[2] not in (1, 3):
        image = image.mean(2, keepdims=True).round().astype(np.uint8)
    yield "image", image
    for name, field in data.fields.items():
        try:
            yield f"target.{name}", _stored(np.asarray(sample.targets[name]), field, by)
        except DataError:
            continue


def _stored(values: Array, field: Field, by: int) -> Array:
    small = values[::by, ::by] if field.dense else values
    return small.astype(np.int16 if KINDS[field.kind].whole else np.float32)
