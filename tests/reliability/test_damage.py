"""Readers of damaged, cut, swapped and hostile files: our error with the file's name, or what is right of it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.engine.runs.digests import verified
from winnow.engine.runs.events import Event, checked_lines, current_events, read_events, write_events
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.reading import DamagedFileError, checked_table, read_json, read_object
from winnow.engine.runs.run import Run
from winnow.engine.runs.snapshots import list_snapshots
from winnow.engine.runs.undo import undo
from winnow.engine.runs.work_folder import Status, kind_of
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.train import parse

GOOD = {"time": 1.5, "epoch": 1, "step": 7, "task": "digit", "split": "val", "quantity": "loss", "value": 0.25}
HOSTILE: list[Any] = [
    None, True, [], {}, "x", 0, -1, 1.5, 1e999, -1e308, 10**20, 10**400, float("nan"), "\ud800", "a\x00b", "é" * 500,
    [[[]]], {"epoch": {}}, {**GOOD, "task": 3}, {**GOOD, "epoch": True}, {**GOOD, "epoch": 2**63}, {**GOOD, "step": -1},
    {**GOOD, "value": "1"}, {**GOOD, "value": [1]}, {**GOOD, "time": None}, {**GOOD, "split": None},
    {**GOOD, "quantity": {"a": 1}}, {**GOOD, "task": "x" * 5000}, {**GOOD, "value": 10**300},
]  # fmt: skip
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.none()))
lines = st.one_of(
    st.sampled_from([json.dumps(value).encode() for value in HOSTILE]),
    st.binary(max_size=60),
    st.builds(lambda key, value: json.dumps({**GOOD, key: value}).encode(), st.sampled_from(sorted(GOOD)), values),
    st.builds(lambda at, byte: bytes([*json.dumps(GOOD).encode()[:at], byte, *json.dumps(GOOD).encode()[at + 1 :]]),
              st.integers(0, 100), st.integers(0, 255)),
    st.just(json.dumps(GOOD).encode()),
)  # fmt: skip


words = st.text(max_size=20).filter(str.isprintable)


def said(read: Callable[[], object], *ours: type[Exception]) -> str:
    """Return what a reader's refusal says, "" where it reads; any other error fails the test."""
    try:
        read()
    except ours as error:
        return str(error)
    return ""


def good() -> bytes:
    return json.dumps(GOOD).encode()


@pytest.mark.parametrize("line", [json.dumps(value).encode() for value in HOSTILE] + [b"[" * 100_000, b"", b"\xff\xfe"])
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_is_no_record_is_left_out_and_counted(tmp_path: Path, line: bytes, first: bool):
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"\n".join([line, good(), b""] if first else [good(), line, b""]))
    found = read_events(log)
    assert found.attrs["damaged"] == 1
    assert found["value"].tolist() == [0.25]
    assert found.attrs["offset"] == log.stat().st_size


def test_a_log_that_ended_the_whole_process_is_read(tmp_path: Path):
    """Arrow's reader of JSON crashed on it, as on a first line `null`."""
    log = tmp_path / "events.jsonl"
    log.write_bytes(b'null\n{"time": 1, "epoch": [], "a": {"b": [1, {}]}, "task": {}}\n[]\n' + good() + b"\n")
    done = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; from winnow.engine.runs.events import read_events; "
         f"print(len(read_events(Path({str(log)!r}))))"], capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_a_record_of_another_program_is_a_record(tmp_path: Path):
    log = tmp_path / "events.jsonl"
    log.write_text(json.dumps({**GOOD, "note": 1, "task": "été"}, ensure_ascii=False, separators=(",", ":")) + "\n")
    assert read_events(log)["task"].tolist() == ["été"]


@given(
    st.builds(
        Event,
        st.floats(0, 1e12),
        st.integers(0, 2**53),
        st.integers(0, 2**53),
        st.one_of(st.none(), words),
        words,
        words,
        st.one_of(st.none(), st.floats(-1e90, 1e90, allow_subnormal=False)),
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, event: Event):
    log = tmp_path_factory.mktemp("log") / "events.jsonl"
    write_events(log, [event])
    found = read_events(log)
    assert found.attrs["damaged"] == 0
    (row,) = found.itertuples(index=False)
    assert (row.time, row.epoch, row.step) == (event.time, event.epoch, event.step)
    assert (row.split, row.quantity) == (event.split, event.quantity)
    assert row.task == event.task or (event.task is None and pd.isna(row.task))
    assert row.value == event.value or (event.value is None and np.isnan(row.value))


@given(st.lists(lines, max_size=12), st.booleans())
@settings(max_examples=150)
def test_no_log_raises_anything(tmp_path_factory: pytest.TempPathFactory, content: list[bytes], whole: bool):
    log = tmp_path_factory.mktemp("log") / "events.jsonl"
    log.write_bytes(b"\n".join(content) + (b"\n" if whole else b""))
    found = current_events(read_events(log))
    assert len(found) <= len(content) + sum(line.count(b"\n") for line in content)


@pytest.mark.study
@given(st.lists(lines, max_size=12))
@settings(max_examples=20_000)
def test_no_log_raises_anything_at_length(content: list[bytes]):
    kept, damaged = checked_lines(b"".join(line + b"\n" for line in content))
    assert damaged >= 0
    assert all(json.loads(line)["split"] is not None for line in kept.splitlines())


DAMAGES = {
    "emptied": lambda file: file.write_bytes(b""),
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "null": lambda file: file.write_bytes(b"null\n"),
    "list": lambda file: file.write_bytes(b"[1, 2]\n"),
    "deep": lambda file: file.write_bytes(b"[" * 200_000),
    "digits": lambda file: file.write_bytes(b'{"format_version": 1e999, "epoch": ' + b"9" * 5000 + b"}"),
    "binary": lambda file: file.write_bytes(bytes(range(256)) * 40),
    "gone": lambda file: file.unlink(),
    "folder": lambda file: (file.unlink(), file.mkdir()),
    "huge": lambda file: os.truncate(file, 1 << 33),
}  # fmt: skip
FILES = ["spec.json", "status.json", "events.jsonl", "groups/layers.json", "groups/norms.bin", "tables/groups.parquet",
         "tables/components.parquet", "weights/network.json", "worked_with.json"]  # fmt: skip


def looked_at(run: Run) -> None:
    """Read a run as lists, pages and commands do; our own errors may come of what is damaged."""
    reads = [
        lambda: run.spec, lambda: run.status, lambda: run.devices, lambda: run.packages, run.document, run.groups,
        lambda: run.norms.rows(), lambda: run.norms.layers(), lambda: run.table("groups"), run.control, run.replay,
        lambda: list_snapshots(run.path), lambda: kind_of(run.path), run.alive,
        *([run.events] if (run.path / "events.jsonl").is_file() else []),
    ]  # fmt: skip
    for read in reads:
        assert "\n" not in said(read, SpecError, DamagedFileError, OSError, ValueError)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "huge"])
@pytest.mark.parametrize("file", FILES)
def test_one_damaged_file_takes_nothing_down(gift: Run, file: str, damage: str):
    from winnow.dashboard.frames.summaries import summaries
    from winnow.engine.runs.verify import verify

    good_one = gift.path.with_name("20260102-000000-good")
    shutil.copytree(gift.path, good_one)
    DAMAGES[damage](gift.path / file)
    began = time.monotonic()
    looked_at(Run(gift.path))
    shown = {summary.id: summary for summary in summaries()}
    assert shown[good_one.name].spec is not None
    assert time.monotonic() - began < 60
    found = {check.file: check for check in verify(Run(gift.path))}
    assert not found[file].whole, found[file]


def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path: Path):
    (tmp_path / "spec.json").touch()
    os.truncate(tmp_path / "spec.json", 1 << 34)
    with pytest.raises(DamagedFileError, match=r"spec.json.*bytes"):
        read_object(tmp_path / "spec.json")


def test_a_table_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch):
    pd.DataFrame({"x": np.zeros(1_000_000)}).to_parquet(tmp_path / "bomb.parquet")
    monkeypatch.setattr("winnow.engine.runs.reading.MOST_CELLS", 999_999)
    with pytest.raises(DamagedFileError, match=r"bomb.parquet.*1000000 rows"):
        checked_table(tmp_path / "bomb.parquet")


def stored_once(path: Path, text: str, rows: int) -> None:
    """Write a table whose every row has one text, which the file holds once."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))
    pq.write_table(pa.table({"layer": column}), path, store_schema=False)


def test_a_text_that_is_stored_once_and_read_a_million_times_is_refused(tmp_path: Path):
    stored_once(tmp_path / "bomb.parquet", "x" * 4000, 200_000)
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    with pytest.raises(DamagedFileError, match=r"its texts have 800000000 bytes"):
        checked_table(tmp_path / "bomb.parquet")
    stored_once(tmp_path / "fine.parquet", "trunk.0", 1000)
    assert checked_table(tmp_path / "fine.parquet")["layer"].tolist() == ["trunk.0"] * 1000


def test_a_list_of_very_many_values_in_one_row_is_refused(tmp_path: Path):
    many = pa.LargeListArray.from_arrays(pa.array([0, 1_000_000]), pa.array(np.zeros(1_000_000, np.int8)))
    pq.write_table(pa.table({"x": many}), tmp_path / "bomb.parquet")
    with pytest.raises(DamagedFileError, match=r"bomb.parquet.*holds lists"):
        checked_table(tmp_path / "bomb.parquet")


@given(
    st.lists(st.tuples(st.none() | st.text(max_size=4), st.floats(), st.sampled_from("ab"), st.booleans()), max_size=5)
)
@settings(max_examples=15)
def test_a_table_is_read_as_it_was_written(tmp_path_factory, rows: list[Any]):
    file = tmp_path_factory.mktemp("table") / "x.parquet"
    frame = pd.DataFrame(rows, columns=["text", "number", "kind", "flag"]).astype({"kind": "category"})
    frame.to_parquet(file)
    pd.testing.assert_frame_equal(checked_table(file), pd.read_parquet(file))


@given(st.binary(max_size=200), st.integers(0, 10_000))
@settings(max_examples=60)
def test_no_bytes_in_a_table_raise_anything_but_ours(tmp_path_factory, noise: bytes, at: int):
    file = tmp_path_factory.mktemp("table") / "x.parquet"
    pd.DataFrame({"layer": ["a", "b"], "norm": [0.5, 1.0]}).to_parquet(file)
    content = bytearray(file.read_bytes())
    place = at % len(content)
    content[place : place + len(noise)] = noise
    file.write_bytes(content)
    message = said(lambda: checked_table(file), DamagedFileError)
    assert message == "" or "x.parquet" in message


nested = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
FIELDS = ["kind", "name", "data", "tasks", "network", "penalty", "optimiser", "balancing", "epochs", "seed",
          "threads", "device", "start", "strength_changes", "keep", "patience", "base", "targets", "cluster",
          "scheduler"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), nested, max_size=4))
@settings(max_examples=150)
def test_no_spec_raises_anything_but_ours(values: dict[str, Any]):
    for read in (parse, parse_many):
        assert "\n" not in said(partial(read, values), SpecError)


@given(nested)
@settings(max_examples=60)
def test_no_json_raises_anything_but_ours(tmp_path_factory, value: Any):
    folder = tmp_path_factory.mktemp("run")
    (folder / "groups").mkdir()
    for name in ("status.json", "spec.json", "groups/layers.json", "00000001.json"):
        (folder / name).write_text(json.dumps(value))
    assert isinstance(Run(folder).recorded_status(), Status)
    assert verified(folder / "00000001.json") is None
    readers = (NormLog(folder / "groups").layers, Run(folder).document, lambda: read_json(folder / "spec.json"))
    for read in readers:
        assert "\n" not in said(read, DamagedFileError)


@pytest.mark.parametrize("read", [parse, parse_many])
def test_half_a_character_is_refused(read: Callable[[Any], object]):
    kind = "train" if read is parse else "study"
    for values in ({"tasks": ["\ud800"]}, {"name": "\ud800"}, {"base": {"tasks": ["\ud800"]}}):
        with pytest.raises(SpecError):
            read({"kind": kind, "data": {"dataset": "digits"}, **values})


@pytest.mark.parametrize("wrong", [{"epoch": None}, {"step": []}, {"logs": 3}, {"epoch": "x"}, {"step": 1e999}])
def test_a_removal_whose_checkpoint_says_nonsense_is_not_undone(gift: Run, wrong: dict[str, Any]):
    """The digest agrees: whoever can write a checkpoint can write its manifest."""
    newest = sorted((gift.path / "weights").glob("0*.json"))[-1]
    before = gift.path / "weights" / "before"
    before.mkdir()
    shutil.copy(newest.with_suffix(".safetensors"), before)
    (before / newest.name).write_text(json.dumps({**json.loads(newest.read_text()), **wrong}))
    kept = {file: file.read_bytes() for file in gift.path.rglob("*") if file.is_file()}
    with pytest.raises(DamagedFileError, match="is damaged"):
        undo(gift)
    assert {file: file.read_bytes() for file in kept} == kept
