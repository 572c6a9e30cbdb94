"""Every kind of job, killed with SIGKILL in its middle: the page and the command say so and start it again, to the same
result."""

import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.dashboard.drawing import drawn
from tests.engine.commanding import winnow_here
from tests.reliability.conftest import TINY
from tests.reliability.killing import die, forked
from winnow.engine.jobs import worker
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.derived import DerivedJob, Work, derived_job, derived_jobs, read
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import create_study
from winnow.engine.runs.work_folder import Status, WorkFolder
from winnow.engine.specs.study import parse_many

WRITES = ("status", "tick", "table", "events")
TIMED = ("latency", "measures", "profile", "layers", "speeds", "said", "best", "lost", "left_out", "metrics", "paying")
PRUNE = {"kind": "prune", "threads": 1, "batches": [1], "rounds": 3, "onnx": False}
EXPLAIN = {"kind": "explain", "threads": 1, "images": 16, "ablations": 2, "ablation_images": 8, "maps": 2,
           "bootstrap": 10, "methods": ["taylor"], "randomisations": False}  # fmt: skip
DERIVED: dict[str, dict[str, Any]] = {
    "prune": PRUNE,
    "distillation": {**PRUNE, "criterion": "norm", "budget": 40, "refit_epochs": 2, "distillation": 0.5},
    "explain": {**EXPLAIN, "circuits": False},
    "circuits": {**EXPLAIN, "circuits": True, "circuit_steps": 4},
    "sensitivity": {"kind": "sensitivity", "threads": 1, "images": 32, "shares": [25, 50]},
    "export": {"kind": "export", "formats": ["safetensors", "card"]},
    "bench": {"kind": "bench", "forms": ["eager", "folded"], "batches": [1], "threads": [1], "rounds": 3},
}
BASE = {**TINY, "tasks": ["digit", "parity"], "epochs": 1}
STUDIES: dict[str, dict[str, Any]] = {
    "study": {"base": BASE, "subsets": ["all"], "targets": [40], "workers": 1},
    "path": {"base": BASE, "targets": [40], "workers": 1, "seeds": [0]},
    "tailor": {"base": BASE, "targets": [40], "workers": 1, "seeds": [0]},
}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory, whole: Run, worker_settings) -> DerivedJob:
    """A pruning of the small run, done, in a root of its own; to be copied."""
    folder = tmp_path_factory.mktemp("pruned") / "20260101-000000-gift"
    shutil.copytree(whole.path, folder)
    job = derived_job(Run(folder), read(PRUNE))
    with worker_settings():
        assert worker.main([str(job.path)]) == 0
    return job


@pytest.fixture
def run(runs_root: Path, pruned: DerivedJob) -> Run:
    shutil.copytree(pruned.run.path, runs_root / pruned.run.id)
    return Run(runs_root / pruned.run.id)


def made(run: Run, name: str) -> Work:
    """Make the folder of a job that is killed: of one on the run, or a study."""
    if name in STUDIES:
        return create_study(parse_many({"kind": name, "name": name, **STUDIES[name]}))
    values = DERIVED[name]
    if values["kind"] in ("export", "bench"):
        (pruning,) = derived_jobs(run, "prune")
        values = {**values, "pruning": pruning.id}
    return derived_job(run, read(values), stem=name)


def counted(deadly: int, count: list[int]) -> Callable[[], None]:
    """Count what a worker writes, and die at the numbered write; 0: never."""

    def arm() -> None:
        for name in WRITES:
            setattr(ResultWriter, name, counting(getattr(ResultWriter, name)))

    def counting(real: Any) -> Any:
        def write(*given: Any, **named: Any) -> None:
            count[0] += 1
            if count[0] == deadly:
                die()
            real(*given, **named)

        return write

    return arm


def killed(job: Work, deadly: int) -> None:
    """Work on a job in a process of its own until it is killed."""
    child = forked(job, counted(deadly, [0]))  # type: ignore[arg-type]
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), f"it ended before write {deadly}: {job.recorded_status()}"
    assert os.WTERMSIG(status) == signal.SIGKILL


def result(job: Work) -> dict[str, Any]:
    """Return all that must not differ: state, files, tables without times, models, events."""
    files = sorted(str(file.relative_to(job.path)) for file in job.path.rglob("*") if file.is_file())
    tables = {file.stem: pd.read_parquet(file) for file in sorted(job.path.glob("tables/*.parquet"))}
    models = [job.path / name for name in files if name.endswith(".safetensors")]
    return {
        "state": job.status.state,
        "files": [name for name in files if "lock" not in name and name not in ("control.json", "log.txt")],
        "tables": {name: own.to_csv() if name not in TIMED else list(own.columns) for name, own in tables.items()},
        "models": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in models},
        "events": len(job.events()),
        "left over": [file.name for name in ("*.tmp", ".new-*") for file in job.path.rglob(name)],
    }


def writes_of(job: Work) -> int:
    """Do a job whole, in this process; return how often it writes."""
    count = [0]
    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(ResultWriter, name, getattr(ResultWriter, name))  # undone afterwards
        counted(0, count)()
        assert worker.main([str(job.path)]) == 0
    return count[0]


def again(job: DerivedJob) -> None:
    """Start a job again by its command, which works in this process."""
    assert job.status.state == "lost"
    done = winnow_here(job.kind, job.run.id, "--resume", job.id, "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["distillation", "circuits", "sensitivity"])
def test_a_job_that_was_killed_comes_to_the_same_when_it_is_started_again(run: Run, works_here, name: str):
    whole, job = made(run, name), made(run, name)
    writes = writes_of(whole)
    killed(job, 2 * writes // 3)
    again(job)
    assert result(job) == result(whole)


@pytest.mark.study
@pytest.mark.parametrize("name", DERIVED)
def test_jobs_killed_at_many_moments_come_to_the_same(run: Run, works_here, name: str):
    whole = made(run, name)
    writes = writes_of(whole)
    moments = sorted({2, *(max(writes * part // 5, 2) for part in range(1, 5))})
    for deadly in moments:
        job = made(run, name)
        killed(job, deadly)
        again(job)
        assert result(job) == result(whole), deadly
    sys.stdout.write(f"\n{name}: killed at {len(moments)} of {writes} writes: same tables, models and files\n")


def study_result(study: WorkFolder) -> dict[str, Any]:
    """Return the tables of a study without the names of its runs: one that goes on takes a run that is the same."""
    tables = {file.stem: pd.read_parquet(file) for file in sorted(study.path.glob("tables/*.parquet"))}
    return {
        "state": study.status.state,
        "tables": {
            name: re.sub(r"\d{8}-\d{6}-[\w-]+", "", own.drop(columns="reused", errors="ignore").round(6).to_csv())
            for name, own in tables.items()
            if name not in TIMED
        },
        "left over": [file.name for file in study.path.rglob("*.tmp")],
    }


@pytest.mark.study
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_was_killed_with_its_runs_comes_to_the_same(
    run: Run, tmp_path: Path, works_here, monkeypatch, name: str
):
    whole = made(run, name)
    writes = writes_of(whole)
    trained = len(list_runs())
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path / "others"))  # else it takes the runs that are there
    study = made(run, name)
    for deadly in (writes // 4, writes // 3):
        killed(study, max(deadly, 2))
        assert study.status.state == "lost"
    done = winnow_here(name, "--resume", study.id)
    assert done.returncode == 0, done.stderr
    tables, expected = study_result(study).pop("tables"), study_result(whole).pop("tables")
    for table in expected:
        assert tables[table].splitlines() == expected[table].splitlines(), table
    assert study_result(study)["left over"] == []
    assert len(list_runs()) < trained  # none twice; the root of the first has a run of ours besides
    sys.stdout.write(f"\n{name}: killed twice within its runs: same tables\n")


PAGES = {
    "prune": ("prune", {}),
    "explain": ("explain", {}),
    "sensitivity": ("prune", {"prune_view": "sensitivity"}),
    "export": ("prune", {"detail": "Export"}),
    "bench": ("prune", {"detail": "Speed"}),
    "study": ("path", {}),
    "path": ("path", {}),
    "tailor": ("path", {}),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_that_a_job_was_lost_and_one_click_starts_it_again(run: Run, monkeypatch, name: str):
    url, more = PAGES[name]
    job = made(run, name)
    replace(job.path / "status.json", Status(state="running", progress=0.4).model_dump_json().encode())
    asked = {"prune": "pruning", "explain": "explanation", "sensitivity": "sensitivity"}
    address = {asked.get(name, "study"): job.id} if name in asked or name in STUDIES else {}
    page = drawn(url, run=run.id, **address, **more)
    assert not page.exception
    shown = [own.value for kind in ("error", "info", "warning", "markdown", "caption") for own in page.get(kind)]
    assert any("process died" in text for text in shown)
    started: list[str] = []
    monkeypatch.setattr(launch, "start", lambda work, *_, **__: started.append(work.id) or 1)
    (button,) = [own for own in page.button if own.key and own.key.endswith("resume")]
    button.click().run()
    assert started == [job.id]
