"""The log of a run: one flat JSON record a line, appended by the worker, read by anyone at any time.

A record is {time [s since 1970, UTC], epoch, step, task, split, quantity, value}. `epoch` counts from 1 (0 is before
training), `step` counts the optimiser steps taken so far. `task` is null for what concerns the whole network. A value
that is not finite is null. A line without a newline at its end is being written, or was cut short by a crash: readers
wait for the rest, and a worker that resumes removes it.

A line that is no such record (a fault of the disk, a file from somebody else) is left out and counted. Every line is
checked before Arrow sees it: its JSON reader ends the whole process on some inputs.
"""

import io
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json

from winnow.engine.runs.files import append, cut

ENDS = ("kept", "test", "predicted")  # splits that are recorded at a run's end
SCHEMA = pa.schema(
    [
        ("time", pa.float64()),
        ("epoch", pa.int64()),
        ("step", pa.int64()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("quantity", pa.string()),
        ("value", pa.float64()),
    ]
)


_INTEGER = rb"(?:0|[1-9][0-9]{0,15})"
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]{1,25})?(?:[eE][+-]?[0-9]{1,2})?"
_TEXT = rb'"(?:[ !#-\[\]-~]|\\u[0-9a-cA-CefEF][0-9a-fA-F]{3}|\\u[dD][0-7][0-9a-fA-F]{2}){0,400}"'
_RECORD = re.compile(  # as `write_events` writes it: safe for Arrow
    rb'^\{"time": %b, "epoch": %b, "step": %b, "task": (?:null|%b), "split": %b, "quantity": %b, '
    rb'"value": (?:null|%b)\}\n' % (_NUMBER, _INTEGER, _INTEGER, _TEXT, _TEXT, _TEXT, _NUMBER),
    re.MULTILINE,
)
_LONGEST = 4000  # bytes of a line
PIECE = 1 << 24  # bytes of the log that are read at once
_MOST = 2**53  # of a whole number: beyond, a float cannot tell it from the next


@dataclass(frozen=True, slots=True)
class Event:
    """One number about the run: `quantity` of `task` on `split` after `step` steps."""

    time: float
    epoch: int
    step: int
    task: str | None
    split: str
    quantity: str
    value: float | None


def write_events(path: Path, events: list[Event]) -> None:
    """Append the events with one write."""
    if events:
        append(path, b"".join(_written(event) for event in events))


def read_events(path: Path, since: int = 0) -> pd.DataFrame:
    """Return the whole records from byte `since` on, one row each.

    `frame.attrs["offset"]` is where to go on: `read_events(path, frame.attrs["offset"])` returns what is new.
    `frame.attrs["damaged"]` is how many lines were left out because they are no records.
    """
    options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    tables, offset, damaged = [SCHEMA.empty_table()], since, 0
    for whole in _whole_lines(path, since):
        content, wrong = checked_lines(whole)
        offset, damaged = offset + len(whole), damaged + wrong
        if content:
            tables.append(pyarrow.json.read_json(io.BytesIO(content), parse_options=options))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    frame.attrs["offset"], frame.attrs["damaged"] = offset, damaged
    return frame


def checked_lines(content: bytes) -> tuple[bytes, int]:
    """Return the lines that are records, written as `write_events` does, and how many are none."""
    others = _RECORD.sub(b"", content)
    if not others:
        return content, 0
    kept, damaged = [], 0
    for line in content.splitlines(keepends=True):
        if not _RECORD.fullmatch(line):
            known = _known(line)
            damaged += known is None
            line = b"" if known is None else _written(known)
        kept.append(line)
    return b"".join(kept), damaged


def _known(line: bytes) -> Event | None:
    """Return the record in a line that is written otherwise than ours, None where it is none."""
    try:
        found = json.loads(line) if len(line) <= _LONGEST else None
        event = Event(**{name: found[name] for name in SCHEMA.names}) if isinstance(found, dict) else None
    except (ValueError, KeyError, RecursionError):
        return None
    return event if event is not None and _is_record(event) else None


def _is_record(event: Event) -> bool:
    texts = (event.split, event.quantity, event.task if event.task is not None else "")
    counts = (event.epoch, event.step)
    numbers = (event.time, event.value if event.value is not None else 0.0)
    return (
        all(isinstance(text, str) and len(text) <= 400 and text.isprintable() for text in texts)
        and all(type(count) is int and 0 <= count <= _MOST for count in counts)
        and all(type(number) in (int, float) and abs(number) < 1e99 for number in numbers)
    )


def current_events(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the records that hold now.

    An `undo` makes void what was recorded before it for later steps, and what was recorded at the run's end.
    """
    holds = np.ones(len(frame), bool)
    split, step = frame["split"].to_numpy(), frame["step"].to_numpy()
    for place in np.flatnonzero((split == "control") & (frame["quantity"].to_numpy() == "undo")):
        void = (step > step[place]) | ((step == step[place]) & (split == "removal")) | np.isin(split, ENDS)
        holds[:place] &= ~void[:place]
    return frame[holds].reset_index(drop=True)


def cut_torn_line(path: Path) -> None:
    """Remove an unfinished last line, so that the next record starts on a line of its own."""
    if not path.exists():
        return
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:  # backwards: the last line is short, and the log may be long
            start = max(end - _LONGEST, 0)
            file.seek(start)
            if found := file.read(end - start).rfind(b"\n") + 1:
                end = start + found
                break
            end = start
    cut(path, end)


def _whole_lines(path: Path, since: int) -> Iterator[bytes]:
    """Yield the whole lines from a byte on, in pieces that fit the memory however long the log is."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(since)
        rest = b""
        while piece := file.read(PIECE):
            content = rest + piece
            end = content.rfind(b"\n") + 1
            rest = content[end:]
            if end:
                yield content[:end]


def _written(event: Event) -> bytes:
    return f"{json.dumps(_finite(event), allow_nan=False)}\n".encode()


def _finite(event: Event) -> dict[str, object]:
    record = asdict(event)
    if event.value is not None and not math.isfinite(event.value):
        record["value"] = None
    return record
