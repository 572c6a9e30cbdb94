"""A small run that was trained to its end, whose folder tests damage, cut and link in copies."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

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
