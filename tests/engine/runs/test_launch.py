"""How a worker that could not say it itself ended: its exit code, and of several processes which one it was."""

import sys
import threading
from pathlib import Path

import pytest

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.train import parse

TORCHRUN = """
import os, sys
from winnow.engine.runs.run import Run
run = Run.open(sys.argv[1])
lock = run.lock()
lock.acquire(timeout=5)
noted = run.recorded_status().model_copy(update={{"state": "running", "phase": "building the network"}})
(run.path / "status.json").write_text(noted.model_dump_json())
lock.release()
print("the code of the user writes as well: 1 failed (exitcode: 7) local_rank: 5")
where = f"E1128 20:16:20.965000 {{os.getpid()}} torch/distributed/elastic/multiprocessing/api.py:1002] "
print({line})
sys.stdout.flush()
os._exit({code})
"""
FIRST = 'where + "failed (exitcode: -11) local_rank: 1 (pid: 27404) of binary: /bin/python"'


@pytest.mark.parametrize(
    ("devices", "line", "code", "said"),
    [
        (
            2,
            FIRST,
            1,
            "its process number 1 was ended by signal 11 (SIGSEGV), while: building the network. See log.txt",
        ),
        (2, FIRST.replace("-11", "3"), 1, "its process number 1 ended with exit code 3, while: building the network."),
        (2, "''", 1, "its process died before it could say why: see log.txt"),
        (1, "''", 3, "its process ended with exit code 3, while: building the network. See log.txt"),
    ],
)
def test_how_the_process_that_ended_first_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: int, line: str, code: int, said: str
) -> None:
    """The line is torchrun's own, as torch 2.10 to 2.14 write it; a line of another process is not taken for it."""
    run: Run = create(parse({"data": {"dataset": "digits"}, "epochs": 1, "devices": devices}), tmp_path)
    script = TORCHRUN.format(line=line, code=code)
    monkeypatch.setattr(launch, "_command", lambda run: [sys.executable, "-c", script, str(run.path)])
    launch.start(run)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "_collect" in thread.name:
            thread.join(60)
    assert run.status.state == "lost"
    assert run.status.message.startswith(said), run.status.message
    monkeypatch.undo()
    launch._claim(run)
    assert (run.recorded_status().ended_with, run.recorded_status().ended_rank) == (None, None)
