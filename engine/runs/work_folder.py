"""A folder of work: what was asked for, its status, and its results.

    spec.json        written once, before the start
    status.json      queued → running → done | stopped | failed (message); replaced atomically
    events.jsonl     append-only (engine.runs.events)
    tables/*.parquet tidy tables
    control.json     what the user asks of the live worker (engine.runs.control)
    lock             held while the worker is alive     log.txt    the worker's output

The worker writes everything but spec.json and control.json. A worker is alive while it holds the lock: a lock is free
the moment its holder dies, while a process number may by then belong to another process. So `lost` is written nowhere:
it is a status that says running, with a lock that is free. Runs (engine.runs.run), the jobs on their results
(engine.runs.derived) and studies (engine.runs.study) are such folders.
"""

import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Container
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import Field

from winnow.engine.runs.control import Control, ask, read_control
from winnow.engine.runs.events import read_events
from winnow.engine.runs.provenance import PARTS
from winnow.engine.runs.reading import checked_table, read_object
from winnow.engine.runs.received import known_plain, reason_known, require_plain
from winnow.engine.specs.frozen import Frozen

State = Literal["queued", "running", "done", "stopped", "failed", "lost"]
LIVE: tuple[State, ...] = ("queued", "running")
UNFINISHED: tuple[State, ...] = ("stopped", "lost", "failed")  # a worker can be started again on these
START_GRACE = 180.0  # seconds that a started worker may take before it holds the lock; 67 seen at a load of 17
UNTOLD_FOR = 600.0  # seconds that another machine's word is taken for, without a lock: its clock may differ
LOOKS = 5  # at a status that changes meanwhile, twice a second at most
LOST = "its process died before it could say why: see log.txt"
UNTOLD = "whether its process is alive cannot be told from here: the lock cannot be read"


LONGEST_TEXT = 10_000  # characters of a phase or a message
Count = Annotated[int, Field(ge=0, le=2**53)]
Time = Annotated[float, Field(ge=0, le=1e11)]  # s since 1970: later than that no calendar has a date


class Status(Frozen):
    """How far a run is; `progress` in [0, 1], times in seconds since 1970 (UTC)."""

    state: State = "queued"
    phase: str = Field("waiting to start", max_length=LONGEST_TEXT)
    message: str = Field("", max_length=LONGEST_TEXT)
    epoch: Count = 0
    epochs: Count = 0
    step: Count = 0
    progress: float = 0.0
    images_per_second: float = 0.0
    paused: bool = False
    host: str = Field("", max_length=300)  # name of the machine that works on it
    pid: Count | None = None
    pid_created: Time | None = None
    requested: Time | None = None
    started: Time | None = None
    updated: Time | None = None
    finished: Time | None = None
    remaining: float | None = Field(None, le=1e15)
    ended_with: int | None = None  # of a worker that could not say why: its exit code, −n for signal n
    ended_rank: Count | None = None  # which of several processes that was


def lost_message(status: Status) -> str:
    """Say how a worker ended that wrote no end: its exit code or signal, and what it was doing."""
    code = status.ended_with
    if code is None:
        return LOST
    known = {int(own): own.name for own in signal.Signals}
    killed = ", by somebody or because memory ran out" if known.get(-code) == "SIGKILL" else ""
    end = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code} ({known.get(-code, '?')})"
    which = "its process" if status.ended_rank is None else f"its process number {status.ended_rank}"
    return f"{which} {end}{killed}, while: {status.phase}. See log.txt"


class WorkFolder:
    """One folder of work. Open it, read it; only the worker writes results into it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the folder at `path`.

        Raises:
            FileNotFoundError: there is none, or it holds links (`engine.runs.received`).

        """
        given = Path(path)
        folder = given.parent.resolve() / given.name if given.name not in ("", "..") else given.resolve()
        require_plain(folder)
        if not (folder / "spec.json").is_file():
            raise FileNotFoundError(f"`path` must be a run folder, with a spec.json in it, got {str(path)!r}.")
        return cls(folder)

    @property
    def id(self) -> str:
        """The folder's name, which is the run's name everywhere."""
        return self.path.name

    @property
    def packages(self) -> dict[str, str]:
        """The package versions that the run was created with."""
        found = read_object(self.path / "spec.json").get("packages")
        return {str(name): str(known) for name, known in found.items()} if isinstance(found, dict) else {}

    @cached_property
    def devices(self) -> int:
        """How many processes train it together."""
        try:
            devices = self.document().get("devices", 1)
        except (OSError, ValueError):
            return 1
        return devices if isinstance(devices, int) else 1

    @property
    def status(self) -> Status:
        """The status now: `lost` where the recorded one says queued or running and its worker has died.

        Where that cannot be told, the recorded status stands, and its message says so.
        """
        status = self.recorded_status()
        for _ in range(LOOKS):
            told = self._told(status)
            if told.state != "lost":
                return told
            again = self.recorded_status()
            if again == status:
                return told
            status = again  # it ended, or was started again, between the look at the status and that at the lock
        return status

    def _told(self, status: Status) -> Status:
        """Return a recorded status, `lost` where the lock that its worker should hold is free."""
        if status.state not in LIVE or (status.state == "queued" and status.requested is None):
            return status
        if status.ended_with is not None:
            return status.model_copy(update={"state": "lost", "message": lost_message(status)})
        if status.state == "queued" and time.time() - (status.requested or 0.0) < START_GRACE:
            return status
        held = self._held()
        if held is None or (held is False and _elsewhere(status)):
            return status.model_copy(update={"message": UNTOLD})
        return status if held else status.model_copy(update={"state": "lost", "message": LOST})

    def recorded_status(self) -> Status:
        """Return what status.json says, whether or not its writer is alive."""
        try:
            return Status.model_validate(read_object(self.path / "status.json"))
        except (OSError, ValueError):
            return Status(state="failed", message="status.json is missing or damaged")

    def alive(self) -> bool:
        """Return whether a worker holds the lock; True also where that cannot be told."""
        return self._held() is not False

    def _held(self) -> bool | None:
        """Return whether a worker holds the lock; None where that cannot be told."""
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # the folder may be read only here, and be written elsewhere
            return held_elsewhere(self.path / "lock")
        lock.release()
        return False

    def lock(self) -> FileLock:
        """Return the lock that the worker holds as long as it is alive."""
        return FileLock(self.path / "lock", thread_local=False)

    def events(self, since: int = 0) -> pd.DataFrame:
        """Return the log from byte `since` on (`frame.attrs["offset"]` of the last call); columns: runs.events."""
        return read_events(self.path / "events.jsonl", since)

    def table(self, name: str) -> pd.DataFrame:
        """Return the table `name`.

        Raises:
            FileNotFoundError: the run has no such table; the message lists those it has.

        """
        known = sorted(file.stem for file in self.path.glob("tables/*.parquet"))
        if name not in known:
            raise FileNotFoundError(f"`name` must be one of the tables of {self.id}, {known}, got {name!r}.")
        return checked_table(self.path / "tables" / f"{name}.parquet")

    def control(self) -> Control:
        """Return what is asked of the run now."""
        return read_control(self.path / "control.json")

    def ask(self, **requests: object) -> Control:
        """Ask the live run to stop, pause, or take another strength; ValueError on one that cannot be met."""
        return ask(self.path / "control.json", **requests)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path)

    def document(self) -> dict[str, object]:
        """Return the spec that spec.json holds, without what was added when it was made (`engine.runs.provenance`).

        Raises:
            OSError, DamagedFileError: there is no such file, or it holds no JSON object.

        """
        document: dict[str, object] = read_object(self.path / "spec.json")
        for added in PARTS:
            document.pop(added, None)
        return document


def folders(root: Path, kinds: Container[str] | None = None) -> list[Path]:
    """Return the folders of work below `root`, newest first, of the wanted kinds (all by default).

    Links, and folders with links in them, are left out, so that nothing outside the root is read; `refused` names them.
    """
    found = ((entry, kind_of(entry)) for entry in _below(root) if known_plain(entry))
    return sorted((entry for entry, kind in found if kind and (kinds is None or kind in kinds)), reverse=True)


def refused(root: Path) -> dict[str, str]:
    """Return which folders of work below `root` are never opened, {name: why}."""
    found = {entry.name: reason_known(entry) for entry in _below(root) if os.path.lexists(entry / "spec.json")}
    return {name: why for name, why in sorted(found.items()) if why}


def _below(root: Path) -> list[Path]:
    """Return the folders below `root` that may be folders of work; links are none."""
    try:
        with os.scandir(root) as entries:
            own = [entry for entry in entries if entry.name[:1] != "." and entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Path(entry.path) for entry in own]


def kind_of(folder: Path) -> str:
    """Return the kind of a folder's spec, "train" where it cannot be read, "" without a spec.

    Only the beginning of the file is read, where the kind is written, so that hundreds of folders are listed quickly.
    """
    try:
        with (folder / "spec.json").open("rb") as file:
            found = re.match(rb'\s*\{\s*"kind":\s*"(\w+)"', file.read(64))
            return found[1].decode() if found else str(read_object(folder / "spec.json")["kind"])
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return "train"


def _elsewhere(status: Status) -> bool:
    """Return whether another machine said a while ago that it works: its locks may not reach this one (NFS)."""
    recent = abs(time.time() - (status.updated or 0.0)) < UNTOLD_FOR
    return status.state == "running" and status.host not in ("", socket.gethostname()) and recent


def held_elsewhere(lock: Path) -> bool | None:
    """Return whether somebody holds a lock file that can only be read here; None where that cannot be told."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        return None
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # closing the file gives it back
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False
