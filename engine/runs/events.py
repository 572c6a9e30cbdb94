"""The log of a run: one flat JSON record a line, appended by the worker, read by anyone at any time.

A record is {time [s since 1970, UTC], epoch, step, task, split, quantity, value}. `epoch` counts from 1 (0 is before
training), `step` counts the optimiser steps taken so far. `task` is null for what concerns the whole network. A value
that is not finite is null. A line without a newline at its end is being written, or was cut short by a crash: readers
wait for the rest, and a worker that resumes removes it.
"""

import io
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json

from winnow.engine.runs.files import append, cut

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
        append(path, "".join(f"{json.dumps(_finite(event), allow_nan=False)}\n" for event in events).encode())


def read_events(path: Path, since: int = 0) -> pd.DataFrame:
    """Return the whole records from byte `since` on, one row each.

    `frame.attrs["offset"]` is where to go on: `read_events(path, frame.attrs["offset"])` returns what is new.
    """
    content = _whole_lines(path, since)
    if content:
        options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
        frame: pd.DataFrame = pyarrow.json.read_json(io.BytesIO(content), parse_options=options).to_pandas()
    else:
        frame = SCHEMA.empty_table().to_pandas()
    frame.attrs["offset"] = since + len(content)
    return frame


def current_events(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the records that hold now.

    An `undo` makes void what was recorded before it for later steps, and what was recorded at the run's end.
    """
    holds = np.ones(len(frame), bool)
    split, step = frame["split"].to_numpy(), frame["step"].to_numpy()
    for place in np.flatnonzero((split == "control") & (frame["quantity"].to_numpy() == "undo")):
        void = (step > step[place]) | ((step == step[place]) & (split == "removal")) | np.isin(split, ("kept", "test"))
        holds[:place] &= ~void[:place]
    return frame[holds].reset_index(drop=True)


def cut_torn_line(path: Path) -> None:
    """Remove an unfinished last line, so that the next record starts on a line of its own."""
    cut(path, len(_whole_lines(path, 0)))


def _whole_lines(path: Path, since: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(since)
        content = file.read()
    return content[: content.rfind(b"\n") + 1]


def _finite(event: Event) -> dict[str, object]:
    record = asdict(event)
    if event.value is not None and not math.isfinite(event.value):
        record["value"] = None
    return record
