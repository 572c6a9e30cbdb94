"""`winnow train --devices 2` as a user meets it: torchrun, two processes, one run; and how all of them end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse
from winnow.engine.training.distributed.place import RankPlace, place
from winnow.engine.training.distributed.ranks import Ranks

SMALL = ["--dataset", "digits", "--widths", "8,8", "--blocks", "1,1", "--head-width", "8", "--epochs", "1"]


def test_two_processes_train_a_run_and_end(runs_root: Path):
    command = [
        sys.executable,
        "-P",
        "-c",
        "from winnow.engine.cli.main import main; main()",
        "train",
        *SMALL,
        "--devices",
        "2",
    ]
    environment = {**os.environ, "WINNOW_RUNS": str(runs_root)}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, timeout=600)
    result = json.loads(done.stdout.splitlines()[-1])
    run = Run.open(runs_root / result["run"])
    log = (run.path / "log.txt").read_text()
    assert result["state"] == "done", log
    assert log == ""
    assert set(result["metrics"]) == {"digit", "parity", "ink"}
    steps = run.events().query("split == 'train' and quantity == 'loss' and task == 'digit'")["step"]
    assert steps.is_unique  # one process writes


WORKER = """
import os, psutil, sys, time
from winnow.engine.runs.work_folder import Status
from winnow.engine.runs.run import Run
run = Run.open(sys.argv[1])
try:
    lock = run.lock()
    lock.acquire(timeout=0)
    me = Status(state="running", pid=os.getpid(), pid_created=psutil.Process().create_time())
    (run.path / "status.json").write_text(me.model_dump_json())
except TimeoutError:
    (run.path / "second").touch()
time.sleep(120)
"""
LAUNCHER = """
import subprocess, sys
workers = [subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], start_new_session=True) for _ in range(2)]
print([worker.wait() for worker in workers])
"""


def test_a_kill_ends_all_processes_of_a_run(runs_root: Path):
    run = create(parse({"data": {"dataset": "digits"}, "devices": 2}))
    environment = {**os.environ}
    command = [sys.executable, "-c", LAUNCHER, WORKER, str(run.path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as launcher:
        end = time.monotonic() + 60
        while not ((run.path / "second").exists() and run.status.state == "running") and time.monotonic() < end:
            time.sleep(0.05)
        assert launch.kill(run)
        assert launcher.communicate(timeout=30)[0].strip() == "[-9, -9]"
    assert run.status.state == "lost"


def test_processes_that_torchrun_starts_know_their_place():
    given = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert place({**given, "TORCHELASTIC_RUN_ID": "x"}) == RankPlace(5, 8, 1, 4)
    assert place(given) == RankPlace()  # somebody else's variables
    with pytest.raises(ValueError, match="`index` must be below `count` = 2"):
        Ranks(2, 2)
