"""Whether a worker is alive is told by its lock, also through a mount that may only be read."""

import errno
import fcntl
import time
from pathlib import Path

import pytest
from filelock import FileLock

from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import LOST, UNTOLD, Status
from winnow.engine.specs.train import TrainSpec


@pytest.fixture
def run(runs_root: Path) -> Run:
    """A run whose status says that it is running."""
    made = create(TrainSpec(name="live"))
    replace(made.path / "status.json", Status(state="running", started=time.time()).model_dump_json().encode())
    return made


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock files cannot be opened for writing, as below a mount that may only be read."""

    def refuse(self: FileLock, *given: object, **named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)


def test_a_held_lock_is_a_live_worker(run: Run):
    with run.lock().acquire(timeout=0):
        assert run.alive()
        assert run.status.state == "running"
    assert not run.alive()
    assert (run.status.state, run.status.message) == ("lost", LOST)


def test_a_live_run_is_running_where_it_can_only_be_read(run: Run, request: pytest.FixtureRequest):
    with run.lock().acquire(timeout=0):
        request.getfixturevalue("read_only")
        assert run.status.state == "running"
        assert run.status.message == ""
    assert run.status.state == "lost"


def test_a_run_that_nobody_locked_is_lost_where_it_can_only_be_read(run: Run, read_only: None):
    assert not (run.path / "lock").exists()
    assert run.status.state == "lost"


def test_a_lock_that_cannot_be_read_calls_no_run_lost(run: Run, read_only: None, monkeypatch: pytest.MonkeyPatch):
    def unavailable(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (run.path / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", unavailable)
    assert (run.status.state, run.status.message) == ("running", UNTOLD)
    assert run.alive()
