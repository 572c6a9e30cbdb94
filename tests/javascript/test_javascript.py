"""The scripts of the canvas, tested by Node and linted by ESLint (`npm ci` in this folder installs it).

Without Node these tests are skipped on a user's machine, and fail where CI is set: there, nothing may go untested.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from winnow.dashboard.canvas.components import HERE, script

ROOT = Path(__file__).resolve().parents[2]
ESLINT = Path(__file__).parent / "node_modules" / ".bin" / "eslint"
ENTRIES = [
    "survival.js", "network.js", "pair.js", "path.js", "going.js", "history.js", "zoom.js", "skip.js", "report.js",
    "menu.js", "slides.js",
]  # fmt: skip


@pytest.fixture(scope="module")
def node() -> str:
    """The Node of this machine."""
    found = shutil.which("node")
    if found is None and os.environ.get("CI"):
        pytest.fail("`node` must be installed where CI is set: the scripts of the canvas are tested with it.")
    if found is None:
        pytest.skip("javascript test: there is no `node` on this machine")
    return found


def _run(*command: str, said: str | None = None) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input=said, timeout=240)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_pure_parts_hold(node: str) -> None:
    tests = sorted(str(file) for file in Path(__file__).parent.glob("*.test.js"))
    assert tests
    _run(node, "--test", *tests)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_joined_script_is_a_module(node: str, entry: str) -> None:
    _run(node, "--input-type=module", "--check", "-", said=script(entry))


def test_the_scripts_are_linted(node: str) -> None:
    if ESLINT.exists():
        config = Path(__file__).parent / "eslint.config.js"
        _run(node, str(ESLINT), "--max-warnings=0", f"--config={config}", "dashboard/canvas", "tests/javascript")
        return
    for file in HERE.glob("*.js"):
        _run(node, "--check", str(file.resolve()))
