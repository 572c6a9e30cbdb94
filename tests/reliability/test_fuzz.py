"""No bytes in any file of a run raise anything but our errors, take long, or end the process."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.fuzzing import fuzz, readers

ROOT = Path(__file__).parents[2]
CASES = 22_000  # of each reader
SHARES = {"spec": 8, "architecture": 8, "certificate": 8, "events": 4, "manifest": 4, "norms": 4, "members": 2}
CHEAP = ("lines", "spec text", "control", "status", "derived", "network", "study", "digests")
GUIDED = 5  # s of each reader


def cases_of(name: str) -> int:
    """Return how many cases a reader gets: those that a costly one does not get, a cheap one does."""
    return CASES // SHARES.get(name, 1) * (3 if name in CHEAP else 1)


def counted(found: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return how many cases there were, and the readers that something is wrong with."""
    wrong = {name: {**own["kinds"], "examples": own["examples"]} for name, own in found.items() if own["foreign"]}
    return sum(own["cases"] for own in found.values()), wrong


def test_a_few_cases_of_every_reader():
    total, wrong = counted(fuzz(12, 7))
    assert total >= 12 * 20
    assert wrong == {}


def in_a_process(*arguments: str, module: str = "fuzzing") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / ".links"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-P", "-m", f"tests.reliability.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


def test_they_are_half_a_million_and_more():
    assert sum(cases_of(name) for name in readers()) >= 500_000


@pytest.mark.study
@pytest.mark.parametrize("name", sorted(readers()))
def test_many_cases(name: str):
    done = in_a_process(str(cases_of(name)), "1000", name)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])  # a crash of the process is one, too
    total, wrong = counted(found := json.loads(done.stdout.splitlines()[-1]))
    sys.stdout.write(f"\n{name}: {total} cases, {len(wrong)} foreign, slowest {found[name]['slowest']} s, no crash\n")
    assert wrong == {}


@pytest.mark.study
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs atheris: pip install atheris")
@pytest.mark.parametrize("name", sorted(readers()))
def test_cases_that_coverage_leads_to(name: str):
    done = in_a_process(str(GUIDED), name, module="guided")
    said = [line for line in done.stderr.splitlines() if line.startswith(("Done ", "==", " ==="))]
    sys.stdout.write(f"\n{name}: {said[-1] if said else done.returncode}\n")
    assert done.returncode == 0, done.stderr[-1500:]
