"""A folder of runs, and runs to put into it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.dashboard.making import write_checkpoint, write_run, write_tables
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_studies import write_path, write_study
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study

SCAN = "scan_component_manifests"


@pytest.fixture(scope="session", autouse=True)
def packages_are_scanned_once() -> None:
    """Every `AppTest` scans the metadata of all installed packages for components, most of a page test's time."""
    from streamlit.components.v2 import manifest_scanner

    setattr(manifest_scanner, SCAN, cache(getattr(manifest_scanner, SCAN)))


@pytest.fixture
def runs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of runs that WINNOW_RUNS names."""
    monkeypatch.setenv("WINNOW_RUNS", str(tmp_path))
    return tmp_path


@pytest.fixture
def make_run(runs_root: Path) -> Callable[..., Run]:
    """Write a run into that folder."""
    return partial(write_run, runs_root)


@pytest.fixture
def make_whole_run(make_run: Callable[..., Run]) -> Callable[..., Run]:
    """Write a run with the engine's tables into that folder; its first group is near the threshold."""

    def whole(**spec: object) -> Run:
        return write_tables(make_run(**spec), nearly=(0,))

    return whole


@pytest.fixture
def make_stored_run(make_whole_run: Callable[..., Run]) -> Callable[..., Run]:
    """Write a run with the engine's tables and a checkpoint, which may be pruned, into that folder."""

    def stored(**spec: object) -> Run:
        return write_checkpoint(make_whole_run(**spec))

    return stored


@pytest.fixture
def end_workers() -> Iterator[None]:
    """End the processes that a test started."""
    yield
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # gone, or over and not yet asked for its result
            if "winnow.engine.jobs.worker" in child.cmdline():
                child.kill()


@pytest.fixture
def make_explained(make_run: Callable[..., Run]) -> Callable[..., DerivedJob]:
    """Write a run of three tasks and an explanation of it into that folder."""

    def explained(
        tasks: tuple[str, ...] = ("seg", "depth", "normals"), data: Mapping[str, object] | None = None, **asked: Any
    ) -> DerivedJob:
        run = make_run(tasks=list(tasks), **({"data": data} if data else {}))
        write_checkpoint(run)
        return write_explanation(run, **asked)

    return explained


@pytest.fixture(scope="session")
def the_studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Study]:
    """A path and a study of three seeds, to be read only: they take seconds to write."""
    root = tmp_path_factory.mktemp("studies")
    return write_path(root, seeds=[0, 1, 2]), write_study(root, seeds=[0, 1, 2], controls=["magnitude"])


@pytest.fixture
def the_path(the_studies: tuple[Study, Study], monkeypatch: pytest.MonkeyPatch) -> Study:
    """That path, in the folder that WINNOW_RUNS names."""
    monkeypatch.setenv("WINNOW_RUNS", str(the_studies[0].root))
    return the_studies[0]


@pytest.fixture
def the_study(the_studies: tuple[Study, Study], monkeypatch: pytest.MonkeyPatch) -> Study:
    """That study, in the folder that WINNOW_RUNS names."""
    monkeypatch.setenv("WINNOW_RUNS", str(the_studies[1].root))
    return the_studies[1]
