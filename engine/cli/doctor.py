"""`winnow doctor`: whether this machine has what Winnow needs, and its runs folder keeps what is written to it.

Each check is a line: fine, note (it works without), or WRONG (something will fail), what was found and what to do.
Nothing is changed: what is written to the runs folder is removed again. No address is asked that you did not name.
"""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click
import psutil
from filelock import FileLock
from packaging.requirements import Requirement

from winnow.engine.runs import launch
from winnow.engine.runs.files import append, replace
from winnow.engine.runs.run import runs_folder
from winnow.engine.runs.work_folder import held_elsewhere

Verdict = Literal["fine", "note", "WRONG"]
LEAST_SPACE, LITTLE_SPACE = 100 << 20, 2 << 30  # bytes free: below the first a run can hardly be kept
LEAST_MEMORY = 1 << 30  # bytes free; importing torch takes a third of it
SLOW_FLUSH = 0.25  # s; a status is flushed twice a second
CLOCKS = 2.0  # s, between this machine's clock and that of the file system
PATIENCE = 5.0  # s, for a connection
IMPORT_LIMIT = 180  # s, for `import torch` on a busy machine
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
QUEUES = {"sbatch": "slurm", "qsub": "pbs or sge", "bsub": "lsf", "condor_submit": "htcondor", "oarsub": "oar"}
TORCH = (
    "import torch; one = torch.ones(3, 3); "
    "print(torch.__version__, torch.cuda.device_count(), float(one.mm(one).sum()))"
)
LOCK = "import sys; from filelock import FileLock; FileLock(sys.argv[1]).acquire(timeout=0)"


@dataclass(frozen=True)
class Diagnosis:
    """What one check found; `do` says what to do about it, "" where it is fine."""

    check: str
    verdict: Verdict
    found: str
    do: str = ""

    def line(self) -> str:
        """Return it as one line."""
        return f"{self.verdict:5}  {self.check:10} {self.found}{'. ' + self.do if self.do else ''}"


@click.command("doctor")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="port of the dashboard")
@click.option("--scheduler", default=None, metavar="ADDRESS", help="a Dask scheduler that must answer, tcp://host:port")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def doctor_command(port: int, scheduler: str | None, as_json: bool) -> None:
    """Check that this machine has what Winnow needs. Exit code 1 if something is wrong."""
    found = []
    for finding in examined(runs_folder(), port, scheduler):
        found.append(finding)
        if not as_json:
            click.echo(finding.line())
    well = all(finding.verdict != "WRONG" for finding in found)
    if as_json:
        click.echo(json.dumps({"ok": well, "checks": [asdict(finding) for finding in found]}))
    sys.exit(0 if well else 1)


def examined(root: Path, port: int, scheduler: str | None = None) -> Iterator[Diagnosis]:
    """Do all checks, one after the other; a check that fails itself is a finding, too."""
    checks: Mapping[str, Callable[[], Diagnosis]] = {
        "python": python,
        "packages": packages,
        "torch": torch_computes,
        "machine": machine,
        "folder": lambda: folder(root),
        "disk": lambda: disk(root),
        "flush": lambda: flush_time(root),
        "locks": lambda: locks(root),
        "clock": lambda: clock(root),
        "browser": browser,
        "port": lambda: port_is_free(port),
        "scheduler": lambda: scheduler_answers(scheduler) if scheduler else queues(),
    }
    for name, check in checks.items():
        try:
            yield check()
        except OSError as error:
            yield _not_done(name, error)
        except Exception as error:  # noqa: BLE001 - one check must not hide the others
            said = str(error).partition("\n")[0]
            yield Diagnosis(name, "WRONG", f"{type(error).__name__}: {said:.200}", "See the other lines.")


def _not_done(name: str, error: OSError) -> Diagnosis:
    if error.errno in READ_ONLY:
        return Diagnosis(name, "note", f"cannot be tried: {error.strerror}", "See the line `folder`.")
    return Diagnosis(name, "WRONG", error.strerror or str(error), "Set WINNOW_RUNS to another disk.")


def python() -> Diagnosis:
    """Say which Python this is; an older one than is needed cannot install us."""
    return Diagnosis("python", "fine", f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")


def packages() -> Diagnosis:
    """Check that what Winnow needs is installed, in versions that it works with."""
    wrong, count = [], 0
    for text in requires("winnow-mtl") or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} is {found}, not {needed.specifier}")
    if wrong:
        return Diagnosis("packages", "WRONG", "; ".join(wrong), "Run pip install -U winnow-mtl in this environment.")
    return Diagnosis("packages", "fine", f"winnow-mtl {version('winnow-mtl')} and the {count} packages that it needs")


def torch_computes() -> Diagnosis:
    """Let torch multiply two matrices, in a process of its own, as a worker is."""
    environment = {**os.environ, **launch.safe_path()}
    done = subprocess.run(
        [sys.executable, "-P", "-c", TORCH], capture_output=True, text=True, timeout=IMPORT_LIMIT, env=environment
    )
    known, _, last = done.stdout.strip().rpartition(" ")
    if done.returncode or last != "27.0":
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Diagnosis("torch", "WRONG", f"it does not work: {said:.200}", "Reinstall torch.")
    number, _, gpus = known.partition(" ")
    return Diagnosis("torch", "fine", f"{number} computes, {gpus if gpus != '0' else 'no'} GPU{'s' * (gpus != '1')}")


def machine() -> Diagnosis:
    """Check cores and free memory."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    free = psutil.virtual_memory().available
    found = f"{cores} cores, {_size(free)} of memory free"
    if free < LEAST_MEMORY:
        return Diagnosis("machine", "note", found, "Close other programs: training may run out of memory.")
    return Diagnosis("machine", "fine", found)


def folder(root: Path) -> Diagnosis:
    """Check that the runs folder, or the one that it will be made in, can be written to."""
    place = _existing(root)
    there = "" if place == root else " (will be made)"
    if not os.access(place, os.W_OK | os.X_OK):
        return Diagnosis(
            "folder", "WRONG", f"{root} is read-only", "Runs can only be shown. To train, set WINNOW_RUNS."
        )
    return Diagnosis("folder", "fine", f"{root}{there}")


def disk(root: Path) -> Diagnosis:
    """Check that there is space."""
    free = shutil.disk_usage(_existing(root)).free
    found = f"{_size(free)} free"
    if free < LEAST_SPACE:
        return Diagnosis("disk", "WRONG", found, "Free some space, or set WINNOW_RUNS to another disk.")
    if free < LITTLE_SPACE:
        return Diagnosis("disk", "note", found, "A long run with snapshots may need more.")
    return Diagnosis("disk", "fine", found)


def flush_time(root: Path) -> Diagnosis:
    """Check that a file can be written, put on the disk, renamed and appended to, and how long it takes."""
    with tempfile.TemporaryDirectory(dir=_existing(root), prefix=".doctor-") as here:
        file, began = Path(here) / "x", time.perf_counter()
        for content in (b"one", b"two"):
            replace(file, content)
        took = (time.perf_counter() - began) / 2
        append(file, b" three")
        if (read := file.read_bytes()) != b"two three":
            return Diagnosis("flush", "WRONG", f"wrote 'two three', read {read!r}", "Set WINNOW_RUNS to another disk.")
    found = f"a file is on the disk after {1000 * took:.1f} ms (fsync and rename)"
    if took > SLOW_FLUSH:
        return Diagnosis("flush", "note", found, "Training waits for each write: use a local disk.")
    return Diagnosis("flush", "fine", found)


def locks(root: Path) -> Diagnosis:
    """Check that a lock in the runs folder keeps another process out, and that it can be seen to."""
    with tempfile.TemporaryDirectory(dir=_existing(root), prefix=".doctor-") as here:
        lock = Path(here) / "lock"
        with FileLock(lock):
            kept_out, seen = not _taken(lock), held_elsewhere(lock)
        free = _taken(lock)
    if kept_out and free and seen is not False:
        return Diagnosis("locks", "fine", "a lock keeps another process out, and is free after it")
    problem = "another process took a lock that was held" if not kept_out else "a free lock cannot be taken"
    problem = problem if not (kept_out and free) else "a lock that is held looks free"
    return Diagnosis(
        "locks", "WRONG", problem, "Two workers could write one run. Set WINNOW_RUNS to a disk of this machine."
    )


def _taken(lock: Path) -> bool:
    """Return whether another process can take a lock."""
    environment = {**os.environ, **launch.safe_path()}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOCK, str(lock)], capture_output=True, env=environment, timeout=60
    )
    return done.returncode == 0


def clock(root: Path) -> Diagnosis:
    """Check that the file system's clock is this machine's, which it need not be on a network mount."""
    with tempfile.NamedTemporaryFile(dir=_existing(root), prefix=".doctor-") as file:
        file.write(b"x")
        file.flush()
        apart = os.fstat(file.fileno()).st_mtime - time.time()
    zone = time.strftime("%Z", time.localtime())
    if abs(apart) > CLOCKS:
        found = f"the disk's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
        return Diagnosis("clock", "note", found, "Times on the pages are off by that.")
    return Diagnosis("clock", "fine", f"the disk's clock agrees; times are stored in UTC, the zone here is {zone}")


def browser() -> Diagnosis:
    """Look for the browser that makes PNG, SVG and PDF of figures."""
    named = os.environ.get("BROWSER_PATH", "")
    found = named if named and Path(named).exists() else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        return Diagnosis(
            "browser", "note", "no Chromium or Chrome", "Figures can be saved as HTML only. Install chromium."
        )
    return Diagnosis("browser", "fine", f"{found}, for PNG, SVG and PDF of figures")


def port_is_free(port: int) -> Diagnosis:
    """Check that the dashboard can listen."""
    if why := port_refused("127.0.0.1", port):
        return Diagnosis("port", "note", f"{port} on 127.0.0.1 cannot be used: {why}", "Give another with --port.")
    return Diagnosis("port", "fine", f"{port} on 127.0.0.1 is free")


def port_refused(host: str, port: int) -> str:
    """Return why nothing can listen at an address, "" if something can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name != "nt":  # as a server sets it: a port of a connection that has ended is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def scheduler_answers(address: str) -> Diagnosis:
    """Check that something listens at a scheduler's address; nothing is sent and nothing is read."""
    try:
        parts = urlsplit(address if "//" in address else f"tcp://{address}")
        place = (parts.hostname or "", parts.port or 0)
    except ValueError:
        place = ("", 0)
    if not all(place):
        return Diagnosis("scheduler", "WRONG", f"{address!r:.80} is not an address", "Give it as tcp://host:port.")
    try:
        socket.create_connection(place, timeout=PATIENCE).close()
    except OSError as error:
        found = f"{address} does not answer: {error.strerror or error}"
        return Diagnosis("scheduler", "WRONG", found, "Start it, or check for a firewall.")
    return Diagnosis("scheduler", "fine", f"{address} answers")


def queues() -> Diagnosis:
    """Look for a cluster's queue; without one, studies train on this machine."""
    found = [f"{name} ({command})" for command, name in QUEUES.items() if shutil.which(command)]
    where = f"{', '.join(found)} here" if found else "none here: studies train on this machine"
    return Diagnosis("scheduler", "fine", where)


def _existing(root: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(place for place in (root.absolute(), *root.absolute().parents) if place.is_dir())


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
