"""A small run that was trained to its end, whose folder tests damage, cut and link in copies; what studies cost."""

import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.dashboard.conftest import packages_are_scanned_once as packages_are_scanned_once
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.train import parse

TINY = {
    "data": {"dataset": "digits"},
    "network": {"widths": [6, 10], "blocks": [1, 1], "head_width": 6},
    "batch_size": 200,
    "threads": 1,
}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, worker_settings: Callable[[], AbstractContextManager[None]]) -> Run:
    """A run of two epochs, to be read only."""
    from winnow.engine.jobs import worker

    run = create(
        parse({"name": "whole", **TINY, "epochs": 2, "penalty": {"target": 40.0}}), tmp_path_factory.mktemp("whole")
    )
    with worker_settings():
        assert worker.main([str(run.path)]) == 0
    return run


@pytest.fixture
def gift(runs_root: Path, whole: Run) -> Run:
    """A copy of that run, as if received, that says that it was stopped."""
    folder = runs_root / "20260101-000000-gift"
    shutil.copytree(whole.path, folder)
    (folder / "status.json").write_text(Status(state="stopped").model_dump_json())
    return Run(folder)


def _cpu() -> float:
    """Return the CPU time of this process and of those that it has waited for [s]."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(own.ru_utime + own.ru_stime for own in used)


@pytest.fixture(autouse=True)
def cost_of_a_study(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the CPU time of a study: on a shared machine, the clock says nothing."""
    before = _cpu()
    yield
    if request.node.get_closest_marker("study"):
        sys.stdout.write(f"  {request.node.name}: {_cpu() - before:.0f} CPU s\n")
