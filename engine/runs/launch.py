"""Starting, stopping and killing the process that works on a run.

A worker is a process of its own: a crash in training cannot take the page down, and a run outlives the browser tab,
the dashboard and the terminal. Its environment has OMP_WAIT_POLICY=PASSIVE: without it, two busy processes on two cores
spend ten times longer waiting for one another than computing.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from winnow.engine.runs.files import own_file, replace
from winnow.engine.runs.received import RefusedFolderError, require_plain
from winnow.engine.runs.work_folder import LIVE, LONGEST_TEXT, UNFINISHED, Status, WorkFolder

WORKER = "winnow.engine.jobs.worker"
GPUS = "CUDA_VISIBLE_DEVICES"  # in the environment: the GPUs that a process sees, and numbers from 0
TIED = "WINNOW_TIED"  # in the environment of a worker that must not outlive the process that started it
CLUSTER = "WINNOW_CLUSTER"  # in the environment of a study's worker: where its runs go, said by who starts it
CLAIM = "control.lock"  # held while a request is written, as that of a worker is
CLAIM_TIMEOUT = 5.0  # s
FAILED = r" {pid} .*failed \(exitcode: (-?\d+)\) local_rank: (\d+)"  # what torchrun logs of the first that ended
TAIL = 1 << 16  # bytes at the end of a log, where torchrun says what became of its processes
PLACES = ("scheduler", "cluster")  # settings of a study that make it connect, and run what others send


class JobError(RuntimeError):
    """A request that a run cannot meet in its state."""


def start(run: WorkFolder, gpus: Sequence[str] = (), place: Mapping[str, Any] | None = None) -> int:
    """Start the worker of a run that is waiting, stopped, lost or failed; return its process number.

    Where `gpus` are named, it sees only these. `place` says where the runs of a study go, {scheduler, cluster}: it is
    never read back from a folder, which may come from somebody else.

    Raises:
        JobError: the run has a worker, is done, holds links, or names a cluster and no `place` is given.

    """
    if place is None and (named := asked_place(run.document())):
        raise JobError(
            f"`place` must be given when {run.id} is started, got {named} only from its folder. A scheduler can run "
            f"programs on this machine. If you trust it: winnow study --resume {run.id} with --scheduler or --cluster; "
            "to train on this machine: with --here."
        )
    said = {CLUSTER: json.dumps(dict(place))} if place is not None else {}
    process = _spawned(run, {**said, **({GPUS: ",".join(gpus)} if gpus else {})})
    threading.Thread(target=_collect, args=(run, process), daemon=True).start()  # no zombie
    return process.pid


def not_started(run: WorkFolder, why: str) -> bool:
    """Note in the status of a folder why its worker could not be started; return whether that could be written."""
    try:
        with FileLock(run.path / CLAIM, timeout=CLAIM_TIMEOUT):
            status = run.recorded_status()
            if status.state in LIVE and not run.alive():
                said = {"state": "failed", "message": f"Its worker could not be started: {why}"[:LONGEST_TEXT]}
                replace(run.path / "status.json", status.model_copy(update=said).model_dump_json().encode())
    except OSError:
        return False
    return run.recorded_status().state not in LIVE


def work(run: WorkFolder) -> None:
    """Start the worker of a run and wait until it ends. If this process dies before, the worker stops the run.

    Raises:
        JobError: the run has a worker, or is done.

    """
    process = _spawned(run, {TIED: "1"}, tied=True)
    try:
        _collect(run, process)
    finally:
        if process.stdin is not None:
            process.stdin.close()


def _collect(run: WorkFolder, process: subprocess.Popen[bytes]) -> None:
    """Wait for a worker, and note its exit code where it could not say how it ended itself.

    A later start has another time of request; who holds the claim keeps it from beginning meanwhile.
    """
    requested = run.recorded_status().requested
    code, rank = process.wait(), None
    if run.devices > 1 and code > 0:  # this is torchrun's own code: it says in the log which process ended how
        failed = _first_failure(run.path / "log.txt", process.pid)
        if failed is None:
            return
        code, rank = failed
    with suppress(OSError, Timeout), FileLock(run.path / CLAIM, timeout=CLAIM_TIMEOUT):
        status = run.recorded_status()
        if status.state in LIVE and status.requested == requested and not run.alive():
            noted = status.model_copy(update={"ended_with": code, "ended_rank": rank})
            replace(run.path / "status.json", noted.model_dump_json().encode())


def _first_failure(log: Path, pid: int) -> tuple[int, int] | None:
    """Return (exit code, rank) of the process that the torchrun with this number saw end first; None if unknown."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    found = re.findall(FAILED.format(pid=pid), text)
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def asked_place(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a study's spec sends its runs, {scheduler, cluster}; nothing where that is this machine."""
    return {name: document[name] for name in PLACES if document.get(name)}


def said_place() -> dict[str, Any] | None:
    """Return the place that who started this process said, None where nobody did."""
    said = os.environ.get(CLUSTER)
    return dict(json.loads(said)) if said else None


def _spawned(run: WorkFolder, environment: Mapping[str, str], tied: bool = False) -> subprocess.Popen[bytes]:
    """Start a worker with additions to its environment; a tied one sees its input end when this process dies."""
    try:
        require_plain(run.path)
    except RefusedFolderError as error:
        raise JobError(str(error)) from error
    with FileLock(run.path / CLAIM, timeout=CLAIM_TIMEOUT):  # of two at one moment, one
        _claim(run)
    run.ask(stop=False, pause=False)
    with own_file(run.path / "log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT) as log:
        return subprocess.Popen(
            _command(run),
            stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**_environment(run), **environment},
        )


def _claim(run: WorkFolder) -> None:
    """Say that a worker is requested; raise `JobError` where one is, or none may be."""
    status = run.status
    waiting = status.state == "queued" and status.requested is None
    if is_recorded(run):
        raise JobError(
            f"`run` must be one that Winnow trains to start it, got {run.id}, which was recorded in a loop of your "
            "own. Continue in that loop."
        )
    if not waiting and status.state not in UNFINISHED:
        raise JobError(
            f"`run` must be queued, stopped, lost or failed to start, got {run.id}, which is {status.state}."
        )
    requested = status.model_copy(
        update={
            "state": "queued",
            "phase": "starting",
            "requested": time.time(),
            "ended_with": None,
            "ended_rank": None,
        }
    )
    replace(run.path / "status.json", requested.model_dump_json().encode())


def is_recorded(run: WorkFolder) -> bool:
    """Return whether a folder is a run that was recorded in a loop of the user's own."""
    network = run.document().get("network")
    return isinstance(network, dict) and network.get("network") == "recorded"


def _command(run: WorkFolder) -> list[str]:
    """Return the command of a folder's worker: one process, or torchrun and as many as the spec asks for."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={run.devices}"]
    return [sys.executable, "-P", *(torchrun if run.devices > 1 else []), "-m", WORKER, str(run.path)]


def _environment(run: WorkFolder) -> dict[str, str]:
    """Return the worker's environment: ours, with no imports from the working folder (-P, for its children too)."""
    several = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}  # or torchrun sets it, and warns at length
    needed = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1", **safe_path()}
    inherited = {name: value for name, value in os.environ.items() if name not in (TIED, CLUSTER)}
    return {**inherited, **needed, **(several if run.devices > 1 else {})}


def safe_path() -> dict[str, str]:
    """Return environment variables that keep the working folder out of a child's import path.

    An empty entry of PYTHONPATH (`:/x`, `/x:`) means the working folder to Python: it is dropped.
    """
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = os.pathsep.join(entry for entry in entries if entry not in ("", "."))
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": kept}


def stop(run: WorkFolder) -> None:
    """Ask the worker to finish its step, save a checkpoint and end as `stopped`."""
    run.ask(stop=True)


def kill(run: WorkFolder) -> bool:
    """End the worker at once, losing what came after its last checkpoint; return whether there was a worker."""
    process = worker_process(run.recorded_status())
    if process is None or not run.alive():
        return False
    for member in [process] if is_recorded(run) else _together(process):  # a user's script may run twice
        with suppress(psutil.NoSuchProcess):
            member.kill()
    return True


def _together(process: psutil.Process) -> list[psutil.Process]:
    """Return a worker and the others that torchrun started with it, by their command; torchrun then ends by itself."""
    command = _command_of(process)
    with suppress(psutil.Error):
        parent = process.parent()
        siblings = parent.children() if parent is not None and command else []
        return [process, *(own for own in siblings if own != process and _command_of(own) == command)]
    return [process]


def _command_of(process: psutil.Process) -> list[str]:
    """Return a process's command, nothing for one that has ended."""
    try:
        found: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return found


def worker_process(status: Status) -> psutil.Process | None:
    """Return the process that the status names, unless another process has its number now."""
    if status.state not in LIVE or status.pid is None:
        return None
    try:
        process = psutil.Process(status.pid)
        same = abs(process.create_time() - (status.pid_created or 0.0)) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same else None
