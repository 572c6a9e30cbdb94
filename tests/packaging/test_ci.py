"""A red result of `make test` is red in CI, and so is a green one that left tests out."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ("===== 3 passed in 1.00s =====", 0, 0),
        ("3 passed, 5 deselected in 300.03s (0:05:00)", 0, 0),
        ("===== 1 failed, 3 passed in 1.00s =====", 2, 2),
        ("SKIPPED [1] tests/browser/conftest.py:19: browser test: none\n== 3 passed, 1 skipped in 1.00s ==", 0, 1),
        ("browser: none could be had; the browser tests will be skipped\n3 passed in 1.00s", 0, 1),
        ("nothing to be done for test", 0, 1),
    ],
)
def test_red_is_red(tmp_path: Path, said: str, code: int, expected: int):
    (tmp_path / "said").write_text(said + "\n")
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\n[ "$*" = test ] && cat {tmp_path}/said\nexit {code}\n')
    make.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([str(ROOT / ".ci/run")], env=environment, capture_output=True, text=True)
    assert done.returncode == expected, done.stdout + done.stderr


def test_the_workflow_runs_the_same_command():
    assert "run: .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()
