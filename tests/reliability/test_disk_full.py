"""A full disk is said, damages nothing that was stored, and the run goes on once there is space."""

import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.killing import forked, result
from tests.reliability.test_kills import SHORT, tormented
from winnow.engine.jobs import worker
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.events import Event, read_events, write_events
from winnow.engine.runs.files import append, overwrite
from winnow.engine.runs.norm_log import Layer, NormLog
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import parse


def full_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let so many files be written; then nothing fits any more."""
    real, count = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        count[0] += 1
        if count[0] > writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_run_on_a_full_disk_says_so_and_can_be_resumed(runs_root: Path, worker_settings, monkeypatch):
    run = create(parse({**SHORT, "name": "full"}))
    with worker_settings():
        with monkeypatch.context() as full:
            full_after(full, 25)
            assert worker.main([str(run.path)]) == 1
        assert run.status.state == "failed"
        assert "disk full" in run.status.message
        assert not list(run.path.rglob("*.tmp"))
        with monkeypatch.context() as nothing:
            nothing.setattr(launch, "_command", lambda _: ["true"])
            launch.start(run)  # a failed run can be started again
        assert worker.main([str(run.path)]) == 0
    assert run.status.state == "done"
    assert [int(row["epoch"]) for row in run.norms.rows()] == [0, 1, 2]


def test_a_folder_that_cannot_be_written_to_says_so_in_its_status(runs_root: Path, monkeypatch):
    run = create(parse({**SHORT, "name": "full"}))
    full_after(monkeypatch, 0)
    with pytest.raises(OSError, match="No space"):
        ResultWriter(run)
    assert run.status.state == "failed"
    assert "No space left" in run.status.message


def short_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real(descriptor, content[: len(content) // 2]))


def test_a_record_that_was_half_written_is_cut_off_again(tmp_path: Path, monkeypatch):
    log = tmp_path / "events.jsonl"
    write_events(log, [Event(0.0, 1, 1, None, "val", "x", 1.0)])
    before = log.read_bytes()
    with monkeypatch.context() as short:
        short_writes(short)
        with pytest.raises(OSError, match="No space"):
            write_events(log, [Event(0.0, 1, 2, None, "val", "x", 2.0)])
    assert log.read_bytes() == before
    assert len(read_events(log)) == 1


def test_a_row_of_norms_that_was_half_written_shifts_no_later_one(tmp_path: Path, monkeypatch):
    norms = NormLog(tmp_path / "groups")
    norms.begin([Layer("trunk", 3, 9)])
    norms.append(0, 0, 0.5, np.ones(3, np.float32))
    with monkeypatch.context() as short:
        short_writes(short)
        with pytest.raises(OSError, match="No space"):
            norms.append(1, 10, 0.5, np.ones(3, np.float32))
    norms.append(1, 10, 0.5, np.full(3, 2, np.float32))
    assert norms.rows()["epoch"].tolist() == [0, 1]
    assert norms.rows()["norm"].tolist() == [[1, 1, 1], [2, 2, 2]]


@pytest.mark.parametrize("was", ["", "x" * 900])
def test_a_status_can_be_written_where_it_lies(tmp_path: Path, was: str):
    (tmp_path / "status.json").write_text(was)
    overwrite(tmp_path / "status.json", Status(state="failed").model_dump_json().encode())
    assert Run(tmp_path).recorded_status() == Status(state="failed")


def test_append_writes_all_of_it(tmp_path: Path):
    append(tmp_path / "log", b"one")
    append(tmp_path / "log", b"two")
    assert (tmp_path / "log").read_bytes() == b"onetwo"


@pytest.mark.study
def test_no_file_may_grow(tmp_path: Path):
    """A limit on the size of files, wherever it strikes: said, and the run that is resumed ends as one without it."""
    found = tormented(tmp_path, "all", 12, "full")
    assert found["kills"] >= 12  # each said "disk full"
    assert found["differing"] == []


def fill(file: Path) -> None:
    """Write until nothing fits any more."""
    with suppress(OSError), file.open("wb", buffering=0) as into:
        while into.write(bytes(512)):
            pass


@pytest.mark.study
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs a file system of its own: root")
def test_a_file_system_without_a_byte_left(tmp_path: Path, worker_settings):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        spec = parse({**SHORT, "name": "full", "epochs": 6, "batch_size": 59})
        with worker_settings():
            undisturbed = create(spec, tmp_path / "other")
            worker.main([str(undisturbed.path)])
        run = create(spec, small)
        child, until = forked(run), time.monotonic() + 120
        while not list(run.path.glob("weights/0*.json")):
            assert time.monotonic() < until
            time.sleep(0.002)
        filler = small / "filler"
        fill(filler)
        assert shutil.disk_usage(small).free == 0
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert (run.status.state, "disk full" in run.status.message) == ("failed", True), run.status
        assert "epoch" in str(run.events().columns)
        filler.unlink()
        assert os.waitstatus_to_exitcode(os.waitpid(forked(run), 0)[1]) == 0
        got, truth = result(run), result(undisturbed)
        assert [name for name, value in truth.items() if got[name] != value] == []
        sys.stdout.write("\na tmpfs without a byte left: said, resumed, ended with the same weights, rows and norms\n")
    finally:
        subprocess.run(["umount", str(small)], check=False)
