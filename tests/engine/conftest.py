"""A run that `winnow train` trained, which several modules look at: a process and a worker take seconds to start."""

from pathlib import Path

import pytest

from tests.engine.commanding import SMALL, START, Trained, winnow

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of two epochs, to be read only, trained by a checkout that is not installed, from a folder elsewhere."""
    root, elsewhere = tmp_path_factory.mktemp("trained") / "runs", tmp_path_factory.mktemp("elsewhere")
    asked = ["train", *SMALL, "--epochs", "2", "--name", "tiny", "--target", "40", "--json"]
    code = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); {START}"
    done = winnow(root, *asked, code=code, cwd=elsewhere, PYTHONSAFEPATH="1")
    assert done.returncode == 0, done.stderr
    return Trained(root, done.stdout.splitlines(), elsewhere)
