"""No bytes in any file of a run raise anything but our errors, take long, or end the process."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.fuzzing import fuzz, readers

ROOT = Path(__file__).parents[2]
CASES = 20_000  # of each reader
SHARES = {"spec": 8, "architecture": 8, "certificate": 8, "events": 8, "manifest": 4, "norms": 4, "members": 2}
CHEAP = ("lines", "spec text", "control", "status", "derived", "network")
GUIDED = 4  # s of each reader
HALVES = (0, 1)  # of the readers: a machine has two cores and more


def cases_of(name: str) -> int:
    """Return how many cases a reader gets: those that a costly one does not get, a cheap one does."""
    return CASES // SHARES.get(name, 1) * (2 if name in CHEAP else 1)


def half(number: int) -> list[str]:
    return sorted(readers())[number :: len(HALVES)]


def counted(found: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return how many cases there were, and the readers that something is wrong with."""
    wrong = {name: {**own["kinds"], "examples": own["examples"]} for name, own in found.items() if own["foreign"]}
    return sum(own["cases"] for own in found.values()), wrong


def test_a_few_cases_of_every_reader():
    total, wrong = counted(fuzz(12, 7))
    assert total >= 12 * 35
    assert wrong == {}


def in_a_process(*arguments: str, module: str = "fuzzing") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / ".links"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-P", "-m", f"tests.reliability.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


def test_they_are_half_a_million_and_more():
    assert sum(cases_of(name) for name in readers()) >= 500_000


@pytest.mark.study
@pytest.mark.parametrize("number", HALVES)
def test_many_cases(number: int):
    done = in_a_process("1000", *(f"{name}={cases_of(name)}" for name in half(number)))
    assert done.returncode == 0, done.stderr[-500:]
    total, wrong = counted(found := json.loads(done.stdout.splitlines()[-1]))
    distinct, seconds = (sum(own[name] for own in found.values() if name in own) for name in ("distinct", "seconds"))
    slowest = max(own.get("slowest", 0.0) for own in found.values())
    sys.stdout.write(
        f"\n{len(found)} readers: {total} cases, {distinct} different, {len(wrong)} readers with a foreign error, "
        f"slowest {slowest} s, {seconds:.0f} CPU s\n"
    )
    assert wrong == {}


@pytest.mark.study
@pytest.mark.skipif(find_spec("atheris") is None, reason="needs atheris: pip install atheris")
@pytest.mark.parametrize("number", HALVES)
def test_cases_that_coverage_leads_to(number: int):
    done = in_a_process(str(GUIDED), *half(number), module="guided")
    runs = [int(found) for found in re.findall(r"Done (\d+) runs", done.stderr)]
    sys.stdout.write(f"\n{len(runs)} readers: {sum(runs)} cases that coverage led to\n")
    assert done.returncode == 0, done.stderr[-1500:]
    assert len(runs) == len(half(number))
