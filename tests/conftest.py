"""Fixtures that all tests share."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import register_random, settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles torch anew, for seconds
sys.dont_write_bytecode = False
# A busy machine takes its time over an example: no deadline. `make studies` draws others each time, and more.
settings.register_profile("wide", deadline=None, max_examples=200)
settings.register_profile("same", deadline=None, max_examples=40, derandomize=True)
os.environ["WINNOW_DATASETS"] = str(Path(tempfile.gettempdir(), f"winnow-{os.getpid()}", "datasets.json"))  # none
os.environ["WINNOW_TRUSTED"] = str(Path(os.environ["WINNOW_DATASETS"]).with_name("trusted.json"))
settings.load_profile("same")
LONGEST = (  # files of about half a minute and more; those with a browser between others, which leave it some time
    "browser/test_every_page.py",
    "test_house.py",
    "engine/training/distributed/test_pair.py",
    "browser/test_one_selection.py",
    "engine/jobs/test_worker.py",
    "browser/test_a_run_from_the_form.py",
    "engine/studies/test_study_job.py",
    "browser/test_a_pruning_from_the_page.py",
    "engine/training/distributed/test_devices.py",
    "engine/cli/test_derived.py",
    "browser/test_explanation_pages.py",
    "test_readme.py",
    "engine/pruning/test_compact.py",
    "packaging/test_wheel.py",
    "browser/test_path_page.py",
    "engine/graph/test_liveness.py",
    "engine/jobs/test_own_network.py",
    "browser/test_clicks.py",
    "browser/test_pages_follow.py",
    "engine/sparsity/test_proximal.py",
    "test_adding.py",
)


class Torch:
    """The random state of torch, as Hypothesis asks for it; nothing as long as no test has imported torch.

    Of the CPU alone: `torch.manual_seed` also looks for every kind of device, milliseconds in each test and example.
    """

    @staticmethod
    def seed(seed: int) -> None:
        if "torch" in sys.modules:
            sys.modules["torch"].default_generator.manual_seed(seed)

    @staticmethod
    def getstate() -> Any:
        return sys.modules["torch"].get_rng_state() if "torch" in sys.modules else None

    @staticmethod
    def setstate(state: Any) -> None:
        if state is not None:
            sys.modules["torch"].set_rng_state(state)


TORCH = Torch()  # Hypothesis holds it weakly
register_random(TORCH)


def seed(number: int = 0) -> None:
    """Seed whatever draws without a generator of its own: torch, numpy, random."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002  # this is the state that a test could draw from
    Torch.seed(number)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """A module draws the same when it is imported, whatever was imported before."""
    if isinstance(collector, pytest.Module):
        seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test draws the same, alone and after others."""
    seed()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
    """What several tests share is drawn the same, whichever of them comes first; and that one draws as the others."""
    shared = fixturedef.scope != "function"
    if shared:
        seed()
    try:
        return (yield)
    finally:
        if shared:
            seed()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: at the end, one process would work on the last of them alone."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    if gone := [str(path) for path in places if not path.exists()]:
        raise pytest.UsageError(f"`LONGEST` names files that are not there: {', '.join(gone)}.")
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def runs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "runs"
    monkeypatch.setenv("WINNOW_RUNS", str(root))
    return root


@contextmanager
def _worker_settings() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
        torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def worker_settings() -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which a job may set up the process as a worker does; afterwards it is as before."""
    return _worker_settings


@pytest.fixture
def works_here(
    monkeypatch: pytest.MonkeyPatch, worker_settings: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Let commands and studies do the work in this process: a worker of its own imports for seconds."""
    from winnow.engine.jobs import worker
    from winnow.engine.runs import launch

    ending = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(launch, "start", lambda work, *_, **__: worker.main([str(work.path)]))
    with worker_settings():
        yield
    signal.signal(signal.SIGTERM, ending)


@contextmanager
def _dask_cluster(folder: Path, workers: int) -> Iterator[str]:
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    file = folder / "scheduler.json"
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    worker = ["worker", *where, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
    processes = []
    for command in [["scheduler", "--host", "127.0.0.1", "--port", "0", *where], *[worker] * workers]:
        with (folder / f"{command[0]}-{len(processes)}.log").open("wb") as log:
            started = [sys.executable, "-m", "dask", *command]
            processes.append(subprocess.Popen(started, env=environment, stdout=log, stderr=log))
        end = time.monotonic() + 120
        while not file.exists():
            assert time.monotonic() < end, "no scheduler after 120 s"
            time.sleep(0.05)
    try:
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def dask_cluster() -> Callable[[Path, int], AbstractContextManager[str]]:
    """Return what starts a Dask scheduler and so many workers of one thread each, and gives the scheduler's address."""
    return _dask_cluster


@pytest.fixture(autouse=True)
def arithmetic_as_it_was() -> Iterator[None]:
    """Undo for the next test what a job that ran in this process has set for good (`jobs.run_data.prepare`)."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
        sys.modules["torch"].use_deterministic_algorithms(False)
        sys.modules["torch"].utils.deterministic.fill_uninitialized_memory = True


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser of this machine, one for a process; without one, the tests that need it are skipped."""
    from playwright.sync_api import expect

    from tests.browser.driving import PATIENCE, chromium

    expect.set_options(timeout=PATIENCE)
    try:
        with chromium() as found:
            yield found
    except FileNotFoundError as missing:
        pytest.skip(f"browser test: {missing}")
