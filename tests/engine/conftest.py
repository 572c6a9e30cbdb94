"""A run that `winnow train` trained, which several modules look at: a process and a worker take seconds to start."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.engine.commanding import SMALL, Trained, winnow


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of two epochs, to be read only, trained from a folder elsewhere; once for all processes of the session."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "trained"
    root, said, elsewhere = folder / "runs", folder / "said.txt", folder / "elsewhere"
    with FileLock(f"{folder}.lock"):
        if not said.exists():
            elsewhere.mkdir(parents=True, exist_ok=True)
            said.write_text(_trained(root, elsewhere))
    return Trained(root, said.read_text().splitlines(), elsewhere)


def _trained(root: Path, elsewhere: Path) -> str:
    asked = ["train", *SMALL, "--epochs", "2", "--name", "tiny", "--target", "40", "--json"]
    done = winnow(root, *asked, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    return done.stdout
