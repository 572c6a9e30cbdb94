"""What is done with a run's result: folders inside the run's, as much a folder of work as the run is."""

from pathlib import Path

import pytest

from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.runs.derived import (
    DerivedJob,
    derived_job,
    derived_jobs,
    find_derived_job,
    newest_job,
    open_work,
    read,
)
from winnow.engine.runs.files import replace
from winnow.engine.runs.run import Run, create, list_runs
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.export import ExportSpec
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create(parse({"data": {"dataset": "digits"}, "name": "parent"}), tmp_path / "runs")


def ended(work: DerivedJob, state: str) -> DerivedJob:
    replace(work.path / "status.json", Status.model_validate({"state": state}).model_dump_json().encode())
    return work


def test_a_derived_job_lies_in_its_run_and_reads_back(run: Run):
    made = derived_job(run, ExportSpec(pruning="x", formats=("onnx",)))
    again = open_work(made.path)
    assert isinstance(again, DerivedJob)
    assert (again.spec, again.kind, again.run.path) == (made.spec, "export", run.path)
    assert made.path.parent.parent == run.path
    assert again.status.state == "queued"
    assert [found.id for found in list_runs(run.path.parent)] == [run.id]


def test_a_run_opens_as_a_run(run: Run):
    opened = open_work(run.path)
    assert isinstance(opened, Run)
    assert opened.spec == run.spec


def test_the_newest_that_ended_well_speaks_for_the_run(run: Run):
    first, second, third = (derived_job(run, ExportSpec(pruning=str(number))) for number in range(3))
    assert newest_job(run, "export") is None
    ended(first, "done"), ended(second, "done"), ended(third, "failed")
    found = newest_job(run, "export")
    assert found is not None
    assert found.id == second.id
    assert [work.id for work in derived_jobs(run, "export")] == [third.id, second.id, first.id]
    second.remove()
    undone = newest_job(run, "export")
    assert undone is not None
    assert undone.id == first.id


@pytest.mark.parametrize("name", ["", "..", "../export", "nothing"])
def test_find_derived_job_takes_no_path(run: Run, name: str):
    made = derived_job(run, ExportSpec(pruning="x"))
    assert find_derived_job(run, "export", made.id).path == made.path
    with pytest.raises(FileNotFoundError, match="`export` must be one of"):
        find_derived_job(run, "export", name)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "export", "pruning": "x", "formats": ["pickle"]}, "formats"),
        ({"kind": "export", "pruning": ""}, "pruning"),
        ({"kind": "wash"}, "`kind` must be one of prune, explain, sensitivity, export, bench, got 'wash'"),
        ({}, "`kind` must be one of"),
    ],
)
def test_read_refuses_in_one_line(values: dict[str, object], says: str):
    with pytest.raises(SpecError, match=says) as caught:
        read(values)
    assert "\n" not in str(caught.value)


def test_ending_hears_signals_and_wishes(run: Run):
    ending = StopRequest(run)
    assert not ending
    run.ask(stop=True)
    assert ending
    run.ask(stop=False)
    assert not ending
    ending.signal(15, None)
    assert ending
