"""A page that watches a run for a day holds its log once, and reads only what is new."""

import gc
import os
import sys
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.dashboard.frames import events
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.engine.runs.events import Event, current_events, cut_torn_line, read_events, write_events
from winnow.engine.runs.run import Run


def rows(first: int, count: int) -> list[Event]:
    return [
        Event(float(step), 1 + step // 10, step, task, split, "loss", 0.5)
        for step in range(first, first + count)
        for task, split in (("digit", "val" if step % 10 == 0 else "train"), (None, "train"))
    ]


def again(run: Run) -> pd.DataFrame:
    """Return what a reader that begins anew returns."""
    return events._Log(run.path / "events.jsonl").read(version(run.path / "events.jsonl"))


def test_a_log_that_grows_is_read_on_to_the_same_frame(tmp_path: Path):
    run, log = Run(tmp_path), tmp_path / "events.jsonl"
    assert events.events(run).empty
    for first in range(1, 200, 13):
        write_events(log, rows(first, 13))
        with log.open("ab") as file:
            file.write(b'{"time": 1.0, "ep')  # being written
        torn = log.stat().st_size
        pd.testing.assert_frame_equal(events.events(run), again(run))
        os.truncate(log, torn - 17)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 20)), max_size=6))
@settings(max_examples=25)
def test_a_log_that_was_cut_and_grew_again_is_read_anew(tmp_path_factory, changes: list[tuple[int, int]]):
    run = Run(tmp_path_factory.mktemp("run"))
    log = run.path / "events.jsonl"
    write_events(log, rows(1, 100))
    for clock, (kept, more) in enumerate(changes):
        events.events(run)
        lines = log.read_bytes().splitlines(keepends=True)[:kept]
        log.write_bytes(b"".join(lines))
        write_events(log, [Event(1e6 + clock, 9, place, "ink", "train", "loss", 1.0) for place in range(more)])
        pd.testing.assert_frame_equal(events.events(run), again(run))


def test_an_undo_voids_records_that_were_read_before(tmp_path: Path):
    run, log = Run(tmp_path), tmp_path / "events.jsonl"
    write_events(log, rows(1, 50))
    assert events.events(run)["step"].max() == 50
    write_events(log, [Event(99.0, 2, 20, None, "control", "undo", None)])
    assert events.events(run)["step"].max() == 20
    assert len(events.events(run)) == len(current_events(read_events(log)))


def grown_by(run: Run, looks: int) -> float:
    """Return how much more is held [%] after so many redraws of a log that grows."""
    log = run.path / "events.jsonl"
    write_events(log, rows(1, 2_000))
    for first in range(5):
        write_events(log, rows(2_001 + first, 1))
        events.curves(run)
    gc.collect()
    tracemalloc.start()
    try:
        events.curves(run)
        write_events(log, rows(3_000, 1))
        events.curves(run)
        before = tracemalloc.get_traced_memory()[0]
        for first in range(looks):
            write_events(log, rows(3_001 + first, 1))
            events.curves(run)
        gc.collect()
        return 100 * (tracemalloc.get_traced_memory()[0] - before) / log.stat().st_size
    finally:
        tracemalloc.stop()


def test_memory_is_flat_over_redraws(tmp_path: Path):
    assert grown_by(Run(tmp_path), 60) < 30


@pytest.mark.study
def test_memory_is_flat_over_a_thousand_redraws(tmp_path: Path):
    grown = grown_by(Run(tmp_path), 1_000)
    sys.stdout.write(f"1,000 redraws: {grown:.0f} % of the log's size more\n")
    assert grown < 300  # it grew by a half meanwhile; every version of it would be 150,000 %


def test_only_the_newest_version_is_kept():
    made: list[tuple[str, int]] = []

    @latest(2)
    def value(path: str, seen: Version, also: tuple[Version, ...]) -> list[str]:
        made.append((path, seen.size))
        return [path]

    one, two = Version(1, 1), Version(2, 2)
    assert value("a", one, (one,)) is value("a", one, (one,))
    value("a", two, (one,))
    value("a", two, (two,))
    value("a", one, (one,))  # gone since
    assert made == [("a", 1), ("a", 2), ("a", 2), ("a", 1)]
    value("b", one, (one,))
    value("c", one, (one,))
    value("a", one, (one,))  # the one looked at longest ago is dropped
    assert [path for path, _ in made[4:]] == ["b", "c", "a"]


@given(st.integers(1, 400), st.integers(0, 600), st.booleans())
def test_a_log_that_is_read_in_pieces_is_the_same(tmp_path_factory, piece: int, since: int, torn: bool):
    log = tmp_path_factory.mktemp("run") / "events.jsonl"
    write_events(log, rows(1, 9))
    lines = log.read_bytes().splitlines(keepends=True)
    since = sum(map(len, lines[: since % 9]))
    log.write_bytes(log.read_bytes() + (b'{"time": 1.0' if torn else b""))
    whole = read_events(log, since)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("winnow.engine.runs.events.PIECE", piece)
        pieces = read_events(log, since)
    pd.testing.assert_frame_equal(whole, pieces)
    assert whole.attrs == pieces.attrs
    cut_torn_line(log)
    assert log.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("content", [b"", b"\n", b"x", b"x" * 9000, b"x" * 9000 + b"\n" + b"y" * 9000, b"a\nb\n"])
def test_cut_torn_line(tmp_path: Path, content: bytes):
    (tmp_path / "log").write_bytes(content)
    cut_torn_line(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == content[: content.rfind(b"\n") + 1]
    cut_torn_line(tmp_path / "none")
