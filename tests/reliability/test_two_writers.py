"""Two who write at once: what both ask for is recorded in its order, one worker is refused, nothing comes back."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.engine.commanding import winnow_here
from tests.reliability.conftest import TINY
from tests.reliability.killing import BASE
from winnow.engine.jobs import worker
from winnow.engine.runs import launch, trash
from winnow.engine.runs.control import KEPT, LARGEST, Control, ControlReader, ask, read_control
from winnow.engine.runs.derived import derived_job, read
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import parse

LONG = {**BASE, "batch_size": 32, "epochs": 40, "penalty": {"strength": 1e-3}}


def changes(run: Run) -> list[float]:
    events = run.events()
    return events[(events["split"] == "control") & (events["quantity"] == "strength")]["value"].tolist()


def two_pages(run: Run, count: int, pause: float) -> None:
    """Ask for `count` strengths, half of them by each of two threads, as two pages do."""

    def page(first: int) -> None:
        for number in range(first, count + 1, 2):
            run.ask(strength=number * 1e-5)
            time.sleep(pause)

    pages = [threading.Thread(target=page, args=(first,)) for first in (1, 2)]
    for each in pages:
        each.start()
    for each in pages:
        each.join()


def test_forty_changes_by_two_pages_are_all_recorded_in_their_order(runs_root: Path, worker_settings, monkeypatch):
    run = create(parse({**BASE, "name": "two", "batch_size": 200, "epochs": 2, "penalty": {"strength": 1e-3}}))
    look, looks = ControlReader.read, [0]

    def looked(self: ControlReader) -> Control:
        looks[0] += 1
        if looks[0] == 4:
            two_pages(run, 40, 0.0)  # between two steps
        return look(self)

    monkeypatch.setattr(ControlReader, "read", looked)
    with worker_settings():
        assert worker.main([str(run.path)]) == 0
    asked = list(run.control().strengths)
    assert sorted(asked) == [number * 1e-5 for number in range(1, 41)]
    assert changes(run) == asked
    assert run.replay().strength_changes[-1].strength == asked[-1]


@pytest.mark.study
def test_forty_changes_of_a_live_run_are_all_recorded_in_their_order(runs_root: Path):
    run = create(parse({**LONG, "name": "live"}))
    launch.start(run)
    end = time.monotonic() + 120
    while run.recorded_status().epoch < 2:
        assert time.monotonic() < end, run.recorded_status()
        time.sleep(0.1)
    two_pages(run, 40, 0.05)
    time.sleep(2)
    launch.stop(run)
    while run.status.state in ("queued", "running"):
        time.sleep(0.1)
    recorded = changes(run)
    sys.stdout.write(f"\n40 strengths asked for by two pages: {len(recorded)} recorded\n")
    assert recorded == list(run.control().strengths)
    assert len(recorded) == 40


def test_a_resumed_run_takes_the_newest_strength_alone(tmp_path: Path):
    control = ask(tmp_path / "control.json", strength=0.1)
    for number in range(KEPT + 20):
        control = ask(tmp_path / "control.json", strength=float(number))
    assert (control.asked, len(control.strengths)) == (KEPT + 21, KEPT)
    assert control.since(control.asked - 1) == (control.strength,)
    assert control.since(control.asked) == control.since(control.asked + 5) == ()
    assert ask(tmp_path / "control.json", pause=True).asked == control.asked
    assert (tmp_path / "control.json").stat().st_size < LARGEST


def test_requests_that_another_program_wrote_are_met_or_none(tmp_path: Path):
    file = tmp_path / "control.json"
    file.write_text('{"strength": 0.25}')
    assert (read_control(file).strength, read_control(file).since(0)) == (0.25, ())
    for content in ('{"strength": 1e308}', "null", "[" * 100_000, '{"asked": -1}', '{"strengths": [1e999]}', "\0"):
        file.write_text(content)
        assert read_control(file) == Control()
    os.truncate(file, 1 << 33)
    assert read_control(file) == Control()
    file.unlink()
    file.mkdir()
    assert read_control(file) == Control()


def test_a_second_worker_a_resume_and_a_removal_of_a_live_run_are_refused(runs_root: Path, capsys, monkeypatch):
    run = create(parse({"name": "live", **TINY}))
    with run.lock():
        replace(run.path / "status.json", Status(state="running", requested=time.time()).model_dump_json().encode())
        with pytest.raises(launch.JobError, match="which is running"):
            launch.start(run)
        for command in (("train", "--resume", run.id), ("runs", "rm", run.id, "--yes")):
            done = winnow_here(*command)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), command
        assert run.path.is_dir()
        monkeypatch.setattr(worker, "LOCK_TIMEOUT", 0.1)
        assert worker.main([str(run.path)]) == 2
        assert capsys.readouterr().err == f"{run.id} already has a worker\n"


def test_two_resumes_at_one_moment_start_one_worker(runs_root: Path, monkeypatch):
    run = create(parse({"name": "two", **TINY}))
    barrier, said = threading.Barrier(2), []
    monkeypatch.setattr(launch, "_command", lambda _: [sys.executable, "-c", "import time; time.sleep(600)"])

    def resume() -> None:
        barrier.wait()
        try:
            said.append(launch.start(Run(run.path)))
        except launch.JobError as error:
            said.append(str(error))

    both = [threading.Thread(target=resume) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    for started in (answer for answer in said if isinstance(answer, int)):
        os.kill(started, signal.SIGKILL)
    assert sorted(type(answer).__name__ for answer in said) == ["int", "str"]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_whose_pruning_works_is_not_removed(gift: Run, state: str):
    job = derived_job(gift, read({"kind": "prune", "threads": 1}))
    with job.lock():
        replace(job.path / "status.json", Status(state=state, requested=time.time()).model_dump_json().encode())
        with pytest.raises(trash.BusyError, match="Stop it first"):
            trash.discard(gift)
    assert gift.path.is_dir()


def test_nothing_comes_back_after_a_removal(runs_root: Path, worker_settings):
    """A worker that was started, and had not the lock when its run was removed, ends without a folder."""
    run = create(parse({"name": "gone", **TINY}))
    moved = trash.discard(run)
    with worker_settings(), pytest.raises(FileNotFoundError):
        worker.main([str(run.path)])
    assert not run.path.exists()
    assert moved.is_dir()
