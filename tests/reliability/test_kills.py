"""A worker that dies at any moment loses nothing: its run ends with the same weights, and with every record once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.killing import BASE, CONFIGS, forked, in_an_append, result
from winnow.engine.jobs import worker
from winnow.engine.runs.files import replace
from winnow.engine.runs.log_marks import remove_unfinished
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import parse

ROOT = Path(__file__).parents[2]
COSTLY = ("removal", "snapshots", "mcp", "all")  # a run of these takes three times as long
KILLS = {config: 14 if config in COSTLY else 22 for config in CONFIGS}
SHORT = {**BASE, **CONFIGS["all"], "epochs": 2, "batch_size": 100}


def made(root: Path, **more: object) -> Run:
    return create(parse({**SHORT, "name": "short", **more}), root)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory, worker_settings) -> dict[str, Any]:
    """What the run ends with when nothing happens to it."""
    run = made(tmp_path_factory.mktemp("undisturbed"))
    with worker_settings():
        assert worker.main([str(run.path)]) == 0
    return result(run)


def test_a_run_that_was_killed_ends_as_one_that_was_not(runs_root, worker_settings, truth):
    run = made(runs_root)
    ended = os.waitpid(forked(run, in_an_append(23)), 0)[1]
    assert os.WTERMSIG(ended) == signal.SIGKILL
    with worker_settings():
        (run.path / "weights" / ".00000001.json.abcd.tmp").write_text("half")
        assert run.status.state == "lost"
        assert worker.main([str(run.path)]) == 0
    assert result(run) == truth


def test_a_run_that_was_stopped_within_an_epoch_ends_as_one_that_was_not(
    runs_root, worker_settings, monkeypatch, truth
):
    """The losses that wait for their record are kept: the mean is over the same steps."""
    from winnow.engine.jobs.stop_request import StopRequest

    run = made(runs_root)
    with worker_settings():
        with monkeypatch.context() as stopping:
            asked = iter(range(10_000))
            stopping.setattr(StopRequest, "__bool__", lambda self: next(asked) > 20)
            assert worker.main([str(run.path)]) == 0
        assert run.status.state == "stopped"
        assert worker.main([str(run.path)]) == 0
    assert result(run) == truth


def test_what_a_killed_worker_was_writing_is_removed_and_what_a_user_asks_is_not(tmp_path: Path):
    for name in ("tables/.groups.parquet.1.tmp", "weights/before/.1.json.2.tmp", ".control.json.3.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert [file.name for file in tmp_path.rglob("*.tmp")] == [".control.json.3.tmp"]


def tormented(root: Path, config: str, count: int, *kinds: str) -> dict[str, Any]:
    """Return what the command of `tests.reliability.killing` finds."""
    command = [sys.executable, "-P", "-m", "tests.reliability.killing", str(root), config, str(count), "0", *kinds]
    path = os.pathsep.join([str(ROOT / ".links"), str(ROOT)])
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{found}\n")
    return found


@pytest.mark.study
@pytest.mark.parametrize("config", CONFIGS)
def test_kills_at_random_moments_and_inside_every_write(tmp_path: Path, config: str):
    found = tormented(tmp_path, config, KILLS[config])
    assert found["state"] == "done"
    assert found["kills"] >= KILLS[config]
    assert found["differing"] == []


def test_they_are_two_hundred_and_more():
    assert sum(KILLS.values()) >= 200


def test_a_status_is_never_half_written(tmp_path: Path):
    replace(tmp_path / "status.json", Status().model_dump_json().encode())
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]
