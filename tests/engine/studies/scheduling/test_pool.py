"""Runs on this machine as processes of their own: how many at a time, and which GPUs each is shown."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import TrainSpec, parse
from winnow.engine.studies.scheduling.machine import Machine
from winnow.engine.studies.scheduling.pool import LocalPool, local_pool

SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8}


def spec(**changes: object) -> TrainSpec:
    values = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "batch_size": 64, "epochs": 5000}
    return parse({**values, **changes})


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Run]]:
    """Three runs that last; their workers are ended afterwards."""
    runs = [create(spec(), tmp_path) for _ in range(3)]
    yield runs
    for run in runs:
        launch.kill(run)


def shown(run: Run) -> str | None:
    """Return which GPUs the worker of a run is shown, once it has said who it is."""
    end = time.monotonic() + 60
    while (process := launch.worker_process(run.recorded_status())) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return process.environ().get("CUDA_VISIBLE_DEVICES")


def test_each_run_is_shown_gpus_of_its_own_and_one_that_was_lost_those_that_are_free(three: list[Run]):
    pool = LocalPool(2, 1, ("0", "1"))
    for run in three[:2]:
        assert pool.free()
        pool.start(run)
    assert not pool.free()
    assert [shown(run) for run in three[:2]] == ["0", "1"]
    other = LocalPool(3, 1, ("0", "1"))  # of a study that was started again: its runs go on
    for run in three[:2]:
        other.start(run)
    victim = three[0].recorded_status().pid
    assert launch.kill(three[0])
    end = time.monotonic() + 60
    while three[0].recorded_status().pid in (None, victim):
        assert other.ended(three[0]) == ""  # it is started again
        assert time.monotonic() < end
        time.sleep(0.05)
    assert shown(three[0]) == "0"
    other.start(three[2])
    assert shown(three[2]) in ("0", "1")  # three runs on two GPUs: somebody shares


def test_without_gpus_the_environment_stays_as_it_is(three: list[Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pool = local_pool(spec(), machine=Machine(1))
    pool.start(three[0])
    assert shown(three[0]) is None
    assert not pool.free()
    assert psutil.pid_exists(three[0].recorded_status().pid or 0)


def test_a_run_of_several_processes_is_no_single_worker():
    where = {cores: local_pool(spec(devices=2), machine=Machine(cores)).where for cores in (2, 4)}
    assert where == {
        2: "1 at a time on this machine, 2 cores each",
        4: "2 at a time on this machine, 2 cores each",
    }
    crowded = local_pool(spec(devices=2), 2, Machine(2))
    assert crowded.where == "2 at a time on this machine, 2 cores each, more than its 2 cores"
