"""A small study of digits, and a pool that trains in this process: an import of torch per run would take minutes."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.study_job import run_study
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study, create_study
from winnow.engine.specs.study import parse_many

BASE = {
    "data": {"dataset": "digits"},
    "tasks": ["digit", "ink"],
    "network": {"widths": [8, 8], "blocks": [1, 1], "head_width": 8},
    "epochs": 4,
    "batch_size": 128,
    "threads": 1,
    "penalty": {"refit": 0.5},
}


class HerePool:
    """Trains each run in this process, one after the other."""

    where = "here"

    def __init__(self, settings) -> None:
        self.trained: list[str] = []
        self.settings = settings

    def free(self) -> bool:
        return True

    def start(self, run: Run) -> None:
        self.trained.append(run.id)
        writer = ResultWriter(run)
        try:
            with self.settings():
                writer.finish(run_training(run, writer, StopRequest(run)))
        except (ValueError, ArithmeticError) as error:
            writer.finish("failed", str(error))

    def ended(self, run: Run) -> str:
        return run.recorded_status().state

    def stop(self, run: Run) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def small() -> Callable[..., dict[str, object]]:
    """Return the values of a small study's spec, changed in parts."""

    def values(base: dict[str, object] | None = None, **changes: object) -> dict[str, object]:
        return {"kind": "study", "name": "small", "base": {**BASE, **(base or {})}, **changes}

    return values


@pytest.fixture(scope="session")
def trained_here(worker_settings) -> Callable[..., tuple[Study, HerePool]]:
    """Return what makes a study and works on it in this process."""

    def work(values: dict[str, object], root: Path) -> tuple[Study, HerePool]:
        study, pool = create_study(parse_many(values), root), HerePool(worker_settings)
        writer = ResultWriter(study)
        writer.finish(run_study(study, writer, StopRequest(study), pool))
        return study, pool

    return work


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, small, trained_here) -> Study:
    """Return a study of four runs that nothing happened to."""
    return trained_here(small(targets=[50], subsets=["all"]), tmp_path_factory.mktemp("undisturbed"))[0]


@pytest.fixture(scope="session")
def same_tables() -> Callable[[Study, Study], None]:
    """Return what asserts that two studies came to the same, but for the names of their runs."""

    def compare(one: Study, other: Study) -> None:
        for name in ("results", "delta", "summary"):
            first, second = (
                study.table(name).drop(columns=["run", "baselines"], errors="ignore") for study in (one, other)
            )
            pd.testing.assert_frame_equal(first, second, rtol=0, atol=0)

    return compare


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Return what waits for something to become true, and fails where it does not."""

    def wait(condition: Callable[[], bool], what: str, seconds: float = 150) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"no {what} after {seconds:g} s"
            time.sleep(0.05)

    return wait
