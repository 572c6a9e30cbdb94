"""Starting, stopping and killing the process that works on a run.

A worker is a process of its own: a crash in training can't take the page down, and a run outlives the tab, the
dashboard and the terminal. Its environment carries OMP_WAIT_POLICY=PASSIVE, without which two busy processes on two
cores wait for one another ten times longer than they compute.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from winnow.engine.runs.files import replace
from winnow.engine.runs.work_folder import LIVE, Status, WorkFolder

WORKER = "winnow.engine.jobs.worker"
GPUS = "CUDA_VISIBLE_DEVICES"  # in the environment: the GPUs that a process sees, and numbers from 0
TIED = "WINNOW_TIED"  # in the environment of a worker that should not outlive the process that started it


class JobError(RuntimeError):
    """What was asked of a job can't be done in the state that its run is in."""


def start(run: WorkFolder, gpus: Sequence[str] = ()) -> int:
    """Start the worker of a run that waits, was stopped or was lost; return its process number.

    Where `gpus` are named, it sees these only.

    Raises:
        JobError: the run is live already, or has ended.

    """
    process = _spawned(run, {GPUS: ",".join(gpus)} if gpus else {})
    threading.Thread(target=process.wait, daemon=True).start()  # collects the exit status, or a zombie stays behind
    return process.pid


def work(run: WorkFolder) -> None:
    """Start the worker of a run and wait until it ends. It stops the run if this process dies before.

    Raises:
        JobError: the run is live already, or has ended.

    """
    process = _spawned(run, {TIED: "1"}, tied=True)
    try:
        process.wait()
    finally:
        if process.stdin is not None:
            process.stdin.close()


def _spawned(run: WorkFolder, environment: Mapping[str, str], tied: bool = False) -> subprocess.Popen[bytes]:
    """Start a worker, with some more in its environment; a tied one hears by the end of its input that we are gone."""
    status = run.status
    waiting = status.state == "queued" and status.requested is None
    if not waiting and status.state not in ("stopped", "lost"):
        raise JobError(f"`run` should be queued, stopped or lost to be started. Found {run.id}: {status.state}.")
    run.ask(stop=False, pause=False)
    requested = status.model_copy(update={"state": "queued", "phase": "starting", "requested": time.time()})
    replace(run.path / "status.json", requested.model_dump_json().encode())
    with (run.path / "log.txt").open("ab") as log:
        return subprocess.Popen(
            _command(run),
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**_environment(run), **environment},
        )


def _command(run: WorkFolder) -> list[str]:
    """Return what works on a folder: one process, or torchrun and as many as the spec asks for."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={run.devices}"]
    return [sys.executable, "-P", *(torchrun if run.devices > 1 else []), "-m", WORKER, str(run.path)]


def _environment(run: WorkFolder) -> dict[str, str]:
    """Return ours, with what two cores need; nothing is imported from the working folder (-P, for children too)."""
    several = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}  # or torchrun says at length that it does so
    needed = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1", **safe_path()}
    inherited = {name: value for name, value in os.environ.items() if name != TIED}
    return {**inherited, **needed, **(several if run.devices > 1 else {})}


def safe_path() -> dict[str, str]:
    """Return environment variables that keep the working folder out of a child's import path.

    An empty entry of PYTHONPATH (`:/x`, `/x:`) means the working folder to Python: it is dropped.
    """
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = os.pathsep.join(entry for entry in entries if entry not in ("", "."))
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": kept}


def stop(run: WorkFolder) -> None:
    """Ask the worker to finish its step, store a checkpoint and end as `stopped`."""
    run.ask(stop=True)


def kill(run: WorkFolder) -> bool:
    """End the worker at once, losing what came after its last checkpoint; return whether there was one to end."""
    process = worker_process(run.recorded_status())
    if process is None or not run.alive():
        return False
    for member in _together(process):
        with suppress(psutil.NoSuchProcess):
            member.kill()
    return True


def _together(process: psutil.Process) -> list[psutil.Process]:
    """Return a worker and those that torchrun started with it, by their command; torchrun then ends by itself."""
    command = _command_of(process)
    with suppress(psutil.Error):
        parent = process.parent()
        siblings = parent.children() if parent is not None and command else []
        return [process, *(own for own in siblings if own != process and _command_of(own) == command)]
    return [process]


def _command_of(process: psutil.Process) -> list[str]:
    """Return a process's command, nothing of one that is over."""
    try:
        found: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return found


def worker_process(status: Status) -> psutil.Process | None:
    """Return the process that the status names, if it is still that one and not another with its number."""
    if status.state not in LIVE or status.pid is None:
        return None
    try:
        process = psutil.Process(status.pid)
        same = abs(process.create_time() - (status.pid_created or 0.0)) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same else None
