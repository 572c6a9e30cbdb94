"""A run that `winnow train` trained, which several modules look at: a process and a worker take seconds to start."""

import pytest

from tests.engine.commanding import SMALL, Trained, winnow


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of two epochs, to be read only, trained from a folder elsewhere."""
    root, elsewhere = tmp_path_factory.mktemp("trained") / "runs", tmp_path_factory.mktemp("elsewhere")
    asked = ["train", *SMALL, "--epochs", "2", "--name", "tiny", "--target", "40", "--json"]
    done = winnow(root, *asked, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    return Trained(root, done.stdout.splitlines(), elsewhere)
