"""Jobs on a result, and studies: what was killed can be started again, and nothing is lost between two looks."""

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.engine.commanding import winnow_here
from tests.reliability.conftest import TINY
from tests.reliability.killing import die, forked
from winnow.engine.jobs import worker
from winnow.engine.jobs.refit_checkpoint import RefitCheckpoint
from winnow.engine.runs import launch
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.events import Event, write_events
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import UNTOLD, Status, WorkFolder
from winnow.engine.specs.train import parse
from winnow.engine.training.loop import EpochDone

PRUNE = {"kind": "prune", "threads": 1, "batches": [1], "rounds": 3, "onnx": False}


def say(work: WorkFolder, **status: object) -> None:
    replace(work.path / "status.json", Status.model_validate(status).model_dump_json().encode())


@pytest.mark.parametrize("state", ["done", "stopped", "failed"])
def test_a_run_that_ends_between_two_looks_is_not_lost(runs_root: Path, monkeypatch, state: str):
    run = create(parse({"name": "x", **TINY}))
    say(run, state="running")

    def held(self: WorkFolder) -> bool:
        say(run, state=state)  # the worker's last word, then it lets the lock go
        return False

    monkeypatch.setattr(WorkFolder, "_held", held)
    assert run.status.state == state


def test_a_run_that_was_started_again_between_two_looks_is_not_lost(runs_root: Path, monkeypatch):
    run = create(parse({"name": "x", **TINY}))
    say(run, state="running")

    def held(self: WorkFolder) -> bool:
        say(run, state="queued", requested=time.time())
        return False

    monkeypatch.setattr(WorkFolder, "_held", held)
    assert run.status.state == "queued"


def test_a_run_whose_worker_is_gone_is_lost(runs_root: Path):
    run = create(parse({"name": "x", **TINY}))
    say(run, state="running")
    assert run.status.state == "lost"


@pytest.fixture
def pruned(gift: Run, worker_settings) -> DerivedJob:
    """A pruning that was killed in the middle of a first try, then done."""
    job = derived_job(gift, read(PRUNE))
    say(job, state="running")
    (job.path / "tables").mkdir()
    (job.path / "tables" / ".removed.parquet.ab.tmp").write_bytes(b"half")
    write_events(job.path / "events.jsonl", [Event(0.0, 1, 1, "digit", "val", "loss", 1.0)])
    assert job.status.state == "lost"
    with worker_settings():
        assert worker.main([str(job.path)]) == 0
    return job


def test_jobs_that_were_killed_end_well_when_they_are_started_again(gift: Run, pruned: DerivedJob, worker_settings):
    assert pruned.status.state == "done"
    assert not list(pruned.path.rglob("*.tmp"))
    assert len(pruned.events()) == 0  # none of the first try
    job = derived_job(gift, read({"kind": "export", "pruning": pruned.id, "formats": ["safetensors", "card"]}))
    say(job, state="running")
    (job.path / "files").mkdir()
    (job.path / "files" / ".model.onnx.data").write_bytes(b"left by a killed exporter")
    with worker_settings():
        assert worker.main([str(job.path)]) == 0
    assert sorted(job.table("files")["file"]) == ["README.md", "architecture.json", "network.safetensors"]
    assert sorted(file.name for file in (job.path / "files").iterdir()) == sorted(job.table("files")["file"])


@pytest.mark.parametrize("state", ["lost", "stopped", "failed"])
def test_a_job_is_started_again_by_a_command(gift: Run, monkeypatch, state: str):
    job = derived_job(gift, read(PRUNE))
    say(job, state="running" if state == "lost" else state)
    started: list[str] = []

    def work(found: WorkFolder) -> int:
        started.append(found.id)
        say(found, state="done")
        return 0

    monkeypatch.setattr(launch, "start", work)
    done = winnow_here("prune", gift.id, "--resume", job.id)
    assert (done.returncode, started) == (0, [job.id]), done.stderr
    refused = winnow_here("prune", gift.id, "--resume", job.id, "--budget", "40")
    assert refused.returncode == 2
    assert winnow_here("prune", gift.id, "--resume", "../../x").returncode == 2


@pytest.mark.parametrize(("host", "ago", "state"), [("other", 5, "running"), ("other", -300, "running"),
                                                    ("other", 5000, "lost"), ("", 5, "lost")])  # fmt: skip
def test_a_run_of_another_machine_is_not_lost_while_it_speaks(runs_root: Path, host: str, ago: float, state: str):
    run = create(parse({"name": "x", **TINY}))
    say(run, state="running", host=host, updated=time.time() - ago)
    assert run.status.state == state
    assert (run.status.message == UNTOLD) == (state == "running")


def test_a_refit_that_was_killed_goes_on_from_its_last_epoch(gift: Run, worker_settings, monkeypatch):
    asked = {**PRUNE, "criterion": "norm", "budget": 40, "refit_epochs": 3}
    undisturbed, job = derived_job(gift, read(asked)), derived_job(gift, read(asked))
    real, epochs, deadly = RefitCheckpoint.save, [], []

    def save(self: RefitCheckpoint, record: EpochDone) -> None:
        real(self, record)
        epochs.append(record.epoch)
        if deadly and len(epochs) == 5:
            die()

    monkeypatch.setattr(RefitCheckpoint, "save", save)
    with worker_settings():
        assert worker.main([str(undisturbed.path)]) == 0
        deadly.append(2)
        assert os.WTERMSIG(os.waitpid(forked(job), 0)[1]) == signal.SIGKILL
        deadly.clear()
        assert job.status.state == "lost"
        assert worker.main([str(job.path)]) == 0
    assert epochs == [1, 2, 3, 3]  # the killed process counted the others
    assert not (job.path / "refit").exists()
    models = [(own.path / "model" / "network.safetensors").read_bytes() for own in (undisturbed, job)]
    assert models[0] == models[1]
    logs = [own.events().drop(columns="time") for own in (undisturbed, job)]
    pd.testing.assert_frame_equal(*logs)


def test_the_refit_of_another_network_is_not_taken_up(gift: Run, tmp_path: Path):
    net = torch.nn.Linear(2, 2)
    stored = RefitCheckpoint(tmp_path, net, torch.optim.Adam(net.parameters()))
    stored.save(EpochDone(1, 5, {"digit": {"loss": float("nan")}}))
    again = RefitCheckpoint(tmp_path, net, torch.optim.Adam(net.parameters())).resume()
    assert [(own.epoch, own.step) for own in again] == [(1, 5)]
    assert again[0].metrics["digit"]["loss"] != again[0].metrics["digit"]["loss"]
    other = torch.nn.Linear(2, 2)
    assert RefitCheckpoint(tmp_path, other, torch.optim.Adam(other.parameters())).resume() == []
