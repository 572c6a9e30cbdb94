"""Studies as they run: workers in processes of their own, killed and stopped on this machine and on a Dask cluster."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import create_study
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.study import parse_many


def training(root: Path) -> list[Run]:
    """Return the runs below a root that are in the middle of their training."""
    return [run for run in list_runs(root) if run.status.state == "running" and 12 < run.status.step < 300]


LONG = {"epochs": 40}  # some seconds, so that there is a middle on a quiet machine too


@pytest.mark.study
def test_killed_runs_a_stopped_and_a_killed_study_come_to_the_same(
    tmp_path: Path, small, until, trained_here, same_tables
):
    values = small({"tasks": ["digit"], **LONG}, targets=[50], subsets=["all"], workers=2)
    study = create_study(parse_many(values), tmp_path)
    launch.start(study)
    until(lambda: bool(training(tmp_path)), "run in the middle")
    victim = training(tmp_path)[0]
    assert launch.kill(victim)
    until(lambda: victim.status.state == "done" or bool(training(tmp_path)), "second life")
    launch.stop(study)
    until(lambda: study.status.state not in LIVE, "stop")
    assert study.status.state == "stopped"
    assert not [run for run in list_runs(tmp_path) if run.status.state in LIVE]
    launch.start(study)
    until(lambda: study.members()["state"].eq("running").any(), "run again")
    assert launch.kill(study)
    until(lambda: study.status.state == "lost", "loss")
    launch.start(study)
    until(lambda: study.status.state not in LIVE, "end")
    assert study.status.state == "done", (study.path / "log.txt").read_text()
    assert len(list_runs(tmp_path)) == 2
    same_tables(study, trained_here(values, tmp_path / "undisturbed")[0])


@pytest.fixture
def cluster(tmp_path: Path, dask_cluster) -> Iterator[str]:
    with dask_cluster(tmp_path, 2) as address:
        yield address


@pytest.mark.study
def test_a_killed_worker_of_a_cluster_leaves_no_trace_in_the_tables(
    tmp_path: Path, small, until, cluster: str, trained_here, same_tables
):
    root, asked = tmp_path / "runs", {"targets": [50], "subsets": ["all"]}
    study = create_study(parse_many(small(LONG, **asked, scheduler=cluster)), root)
    launch.start(study, place={"scheduler": cluster})
    until(lambda: bool(training(root)), "run in the middle")
    victim = training(root)[0]
    worker = psutil.Process(victim.status.pid).parent()
    assert worker is not None
    worker.send_signal(signal.SIGKILL)
    until(lambda: study.status.state not in LIVE, "end")
    assert study.status.state == "done", (study.path / "log.txt").read_text()
    assert "stop" in set(victim.events().query("split == 'control'")["quantity"])  # it heard, and was taken up again
    assert len(list_runs(root)) == 4
    same_tables(study, trained_here(small(LONG, **asked), tmp_path / "undisturbed")[0])


def test_nobody_at_the_scheduler_is_said_in_a_sentence(tmp_path: Path, small, until, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    study = create_study(parse_many(small(scheduler="tcp://127.0.0.1:9")), tmp_path)
    launch.start(study, place={"scheduler": "tcp://127.0.0.1:9"})
    until(lambda: study.status.state not in LIVE, "end")
    assert study.status.state == "failed"
    assert "`scheduler` must be the address of a Dask scheduler" in study.status.message
