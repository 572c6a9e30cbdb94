"""Fixtures that all tests share."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
