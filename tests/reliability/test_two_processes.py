"""Two processes train one run, and one of them, both, or what started them is killed; a server is, too."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.reliability.killing import BASE, result
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.train import parse

pytestmark = pytest.mark.study
TWO = {**BASE, "name": "two", "batch_size": 64, "devices": 2, "threads": 2, "epochs": 6,
       "penalty": {"target": 60, "removal": 2}, "snapshots": 20}  # fmt: skip
PATIENCE = 300.0  # s
START = """
import sys, time
from pathlib import Path
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
launch.start(Run(Path(sys.argv[1])))
print("started", flush=True)
time.sleep(600)
"""


def members(run: Run) -> list[psutil.Process]:
    """Return the processes that work on a run: torchrun, then those that it started, by rank."""
    found = [own for own in psutil.process_iter(["cmdline"]) if str(run.path) in (own.info["cmdline"] or [])]
    return sorted(found, key=lambda own: (0 if "torch.distributed.run" in own.info["cmdline"] else 1, rank(own)))


def rank(process: psutil.Process) -> str:
    try:
        return process.environ().get("RANK", "")
    except psutil.Error:
        return ""


def until(holds: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def ended(run: Run) -> str:
    until(lambda: run.status.state not in LIVE and not members(run))
    return run.status.state


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes end with when nothing happens to them."""
    run = create(parse(TWO), tmp_path_factory.mktemp("undisturbed"))
    launch.start(run)
    assert ended(run) == "done", (run.path / "log.txt").read_text()[-500:]
    return result(run)


@pytest.mark.parametrize("victim", ["torchrun", "first", "second", "all"])
def test_a_run_of_two_processes_ends_as_one_that_was_not_killed(runs_root: Path, undisturbed, victim: str):
    run, draw = create(parse(TWO)), random.Random(victim)
    launch.start(run)
    until(lambda: run.recorded_status().phase == "training" and run.recorded_status().epoch >= 1)
    time.sleep(draw.uniform(0, 1))
    own = members(run)
    doomed = {"torchrun": own[:1], "first": own[1:2], "second": own[2:3], "all": own}[victim]
    for process in doomed:
        process.kill()
    if ended(run) != "done":  # a process that dies loses its name before its locks
        launch.start(run)
        assert ended(run) == "done", (run.path / "log.txt").read_text()[-500:]
    got = result(run)
    assert [name for name, value in undisturbed.items() if got[name] != value] == []
    sys.stdout.write(f"\n{victim} of two processes killed: same weights, each row once\n")


def test_a_run_outlives_the_server_that_started_it(runs_root: Path):
    run = create(parse({**BASE, "name": "outlives", "epochs": 8}))
    environment = {**os.environ, **launch.safe_path()}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", START, str(run.path)], stdout=subprocess.PIPE, env=environment
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"started\n"
        server.kill()
    assert ended(run) == "done"
    sys.stdout.write("\nthe server was killed: the run went on to its end\n")
