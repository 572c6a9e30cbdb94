"""Commands on runs: what is removed can be taken back, names are told apart, and a refusal is one line."""

import errno
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.engine.commanding import winnow_here
from tests.reliability.conftest import TINY
from winnow.engine.cli.runs import figures
from winnow.engine.runs import trash
from winnow.engine.runs.derived import derived_job, read
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create, list_runs
from winnow.engine.runs.study import create_study
from winnow.engine.runs.work_folder import Status, WorkFolder
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.train import parse


def made(name: str, **status: object) -> Run:
    run = create(parse({"name": name, **TINY}))
    say(run, **{"state": "done", **status})
    return run


def say(work: WorkFolder, **status: object) -> None:
    replace(work.path / "status.json", Status.model_validate(status).model_dump_json().encode())


def test_what_was_removed_can_be_taken_back(runs_root: Path):
    run = made("x")
    (run.path / "kept").write_text("bytes")
    assert winnow_here("runs", "rm", "x", "--yes").returncode == 0
    assert list_runs() == []
    assert trash.discarded() == [run.id]
    assert winnow_here("runs", "restore").stdout.split() == [run.id]
    assert winnow_here("runs", "restore", run.id).returncode == 0
    assert [found.id for found in list_runs()] == [run.id]
    assert (run.path / "kept").read_text() == "bytes"
    assert trash.discarded() == []


def test_rm_asks(runs_root: Path, monkeypatch):
    made("x")
    monkeypatch.setattr("click.confirm", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(pytest.fail.Exception):
        winnow_here("runs", "rm", "x")
    assert len(list_runs()) == 1


def test_rm_of_a_name_that_two_runs_have_names_both(runs_root: Path):
    ids = {made("x").id, made("x").id}
    done = winnow_here("runs", "rm", "x", "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert all(identity in done.stderr for identity in ids)
    assert {run.id for run in list_runs()} == ids
    assert winnow_here("runs", "rm", min(ids), "--yes").returncode == 0
    assert {run.id for run in list_runs()} == {max(ids)}


@pytest.mark.parametrize("name", ["nobody", "../x", ".trash", "", "/"])
def test_what_is_not_there_is_not_removed(runs_root: Path, name: str):
    made("x")
    for command in (("rm", "--yes"), ("restore",)):
        done = winnow_here("runs", command[0], name, *command[1:])
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert len(list_runs()) == 1


def test_a_run_that_works_or_is_worked_on_is_not_removed(runs_root: Path):
    run, soon = made("x"), made("soon", state="queued", requested=time.time())
    job = derived_job(run, read({"kind": "prune"}))
    say(job, state="running")
    with job.lock().acquire(timeout=0), pytest.raises(trash.BusyError, match="jobs on it"):
        trash.discard(run)
    with pytest.raises(trash.BusyError):
        trash.discard(soon)  # started a moment ago
    with run.lock().acquire(timeout=0), pytest.raises(trash.BusyError):
        trash.discard(run)
    assert len(list_runs()) == 2
    say(job, state="stopped")
    trash.discard(run)


def test_a_study_is_removed_without_its_runs(runs_root: Path):
    run = made("x")
    study = create_study(parse_many({"kind": "study", "name": "mine", "base": {**TINY, "epochs": 1}}))
    assert winnow_here("runs", "rm", "mine", "--yes").returncode == 0
    assert not study.path.exists()
    assert [found.id for found in list_runs()] == [run.id]


def test_names_in_the_trash_do_not_collide(runs_root: Path):
    run = made("x")
    trash.discard(run)
    run.path.mkdir()
    (run.path / "spec.json").write_text('{"kind": "train"}')
    assert trash.discard(Run(run.path)).name == f"{run.id}-2"
    assert trash.empty_trash() == 2
    assert trash.discarded() == []


def test_the_name_stands_beside_the_id(runs_root: Path):
    made("デモ 😀", state="done")
    made("ééé")
    lines = winnow_here("runs", "list").stdout.splitlines()
    assert [name in line for name, line in zip(["ééé", "デモ 😀"], lines, strict=True)] == [True, True]


def test_a_metric_that_is_not_finite_is_a_dash():
    entry = {"metrics": {"digit": ["accuracy", None, "%"], "ink": ["rmse", 0.5, "1"]}, "group_sparsity": None}
    assert figures(entry) == "digit –  ink 0.5"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_root_that_cannot_be_written_to_is_one_line(runs_root: Path, monkeypatch, number: int):
    run = made("x", state="stopped")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(runs_root))

    for name in ("mkdir", "rename", "replace", "open", "touch"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(FileLock, "acquire", refuse)
    commands = (("train", "--dataset", "digits"), ("train", "--resume", run.id), ("runs", "rm", run.id, "--yes"))
    for command in commands:
        done = winnow_here(*command)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), (command, done.stderr)
        assert "Traceback" not in done.stderr


def test_times_carry_their_zone(runs_root: Path):
    run = made("x", started=1.7e9, finished=1.7e9 + 60)
    assert "2023-11-14 22:13:20 UTC" in winnow_here("runs", "show", run.id).stdout
