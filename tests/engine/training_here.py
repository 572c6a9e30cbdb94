"""The command `train` with the work done in this process: a second less each time, and errors keep their place."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.commanding import Done, winnow_here
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run

TINY = [
    "--widths",
    "4,8",
    "--blocks",
    "1,1",
    "--head-width",
    "4",
    "--threads",
    "1",
    "--epochs",
    "1",
    "--batch-size",
    "2",
]


def train_here(monkeypatch: pytest.MonkeyPatch, root: Path, *arguments: str) -> Done:
    """Run `winnow train` on tiny networks, one epoch, with the runs in `root`."""

    def work(run: Run) -> None:
        writer = ResultWriter(run)
        try:
            writer.finish(run_training(run, writer, StopRequest(run)))
        except ValueError as error:
            writer.finish("failed", str(error))

    monkeypatch.setenv("WINNOW_RUNS", str(root))
    monkeypatch.setattr(launch, "start", work)
    return winnow_here("train", *TINY, "--json", *arguments)


def result_of(done: Done) -> dict[str, Any]:
    """Return what a command printed at its end."""
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
