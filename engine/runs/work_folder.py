"""A folder that a worker works on: what was asked, where it stands, what came of it.

    spec.json        written once, before the start
    status.json      queued → running → done | stopped | failed (message); replaced atomically
    events.jsonl     append-only (engine.runs.events)
    tables/*.parquet tidy tables
    control.json     what the user asks of the live worker (engine.runs.control)
    lock             held while the worker lives        log.txt    the worker's output

The worker writes everything but spec.json and control.json. Life is a held lock, not a process number: a lock is free
the moment its holder dies, while a number may belong to somebody else by then. `lost` is therefore derived: the status
says running and the lock is free. A run (engine.runs.run) is such a folder, and so is what is done with its result
afterwards (engine.runs.derived).
"""

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Container, Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError

from winnow.engine.runs.control import Control, ask, read_control
from winnow.engine.runs.events import read_events
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.provenance import PARTS, made_with
from winnow.engine.specs.frozen import Frozen

State = Literal["queued", "running", "done", "stopped", "failed", "lost"]
LIVE: tuple[State, ...] = ("queued", "running")
START_GRACE = 30.0  # seconds that a started worker may take before it holds the lock
SLOW_GRACE = 180.0  # the same where torchrun, which imports torch, starts it


class Status(Frozen):
    """Where a run stands; `progress` in [0, 1], times in seconds since 1970 (UTC)."""

    state: State = "queued"
    phase: str = "waiting to start"
    message: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    progress: float = 0.0
    images_per_second: float = 0.0
    paused: bool = False
    pid: int | None = None
    pid_created: float | None = None
    requested: float | None = None
    started: float | None = None
    updated: float | None = None
    finished: float | None = None
    remaining: float | None = None


class WorkFolder:
    """One folder of work. Open it, read it; only the worker writes results into it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the folder at `path`.

        Raises:
            FileNotFoundError: there is none.

        """
        folder = Path(path).resolve()
        if not (folder / "spec.json").is_file():
            raise FileNotFoundError(f"`path` should be a run folder, with a spec.json in it. Found {str(path)!r}.")
        return cls(folder)

    @property
    def id(self) -> str:
        """The folder's name, by which the run is called everywhere."""
        return self.path.name

    @property
    def packages(self) -> dict[str, str]:
        """The package versions that the run was created with."""
        found: dict[str, str] = json.loads((self.path / "spec.json").read_text()).get("packages", {})
        return found

    @cached_property
    def devices(self) -> int:
        """How many processes work on it together."""
        devices = self.document().get("devices", 1)
        return devices if isinstance(devices, int) else 1

    @property
    def status(self) -> Status:
        """Where the run stands now; `lost` when the worker died without saying so."""
        status = self.recorded_status()
        if status.state not in LIVE or (status.state == "queued" and status.requested is None):
            return status
        grace = START_GRACE if self.devices == 1 else SLOW_GRACE
        starting = status.state == "queued" and time.time() - (status.requested or 0.0) < grace
        if starting or self.alive():
            return status
        return status.model_copy(update={"state": "lost", "message": "its process ended without a word"})

    def recorded_status(self) -> Status:
        """Return what status.json says, whether or not its writer still lives."""
        try:
            return Status.model_validate_json((self.path / "status.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return Status(state="failed", message="status.json is missing or damaged")

    def alive(self) -> bool:
        """Return whether a worker holds the lock."""
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a folder that can't be written to has no worker
            return False
        lock.release()
        return False

    def lock(self) -> FileLock:
        """Return the lock that the worker holds for its whole life."""
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
            raise FileNotFoundError(f"`name` should be among the tables of {self.id}, {known}. Found {name!r}.")
        return pd.read_parquet(self.path / "tables" / f"{name}.parquet")

    def control(self) -> Control:
        """Return what is asked of the run."""
        return read_control(self.path / "control.json")

    def ask(self, **wishes: object) -> Control:
        """Ask the live run to stop, pause, or take another strength; ValueError on a senseless wish."""
        return ask(self.path / "control.json", **wishes)

    def remove(self) -> None:
        """Remove the folder and all it holds."""
        shutil.rmtree(self.path)

    def document(self) -> dict[str, object]:
        """Return the spec that spec.json holds, without what was added when it was made (`engine.runs.provenance`)."""
        document: dict[str, object] = json.loads((self.path / "spec.json").read_text())
        for added in PARTS:
            document.pop(added, None)
        return document


def make(root: Path, stem: str, spec: Frozen, status: Status) -> Path:
    """Make a new folder of work below `root`, whole or not at all; return it: <utc-time>-<stem>, perhaps numbered."""
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".new-{secrets.token_hex(6)}"
    draft.mkdir()
    document = {**spec.model_dump(mode="json"), **made_with(spec)}
    replace_json(draft / "spec.json", document)
    replace(draft / "status.json", status.model_dump_json().encode())
    for identity in _identities(stem):
        try:
            draft.rename(root / identity)
        except OSError:  # taken: a folder that holds something is never renamed onto
            continue
        return root / identity
    raise RuntimeError("unreachable: identities do not end")


def folders(root: Path, kinds: Container[str] | None = None) -> list[Path]:
    """Return the folders of work below `root`, newest first, of the wanted kinds (all by default).

    Links that lead out of it are left out.
    """
    if not root.is_dir():
        return []
    entries = [Path(entry.path) for entry in os.scandir(root) if entry.name[:1] != "." and not entry.is_symlink()]
    found = ((entry, kind_of(entry)) for entry in entries)
    return sorted((entry for entry, kind in found if kind and (kinds is None or kind in kinds)), reverse=True)


def kind_of(folder: Path) -> str:
    """Return what a folder of work is for: the kind of its spec, "train" where that can't be read, "" without a spec.

    Only the beginning of the file is read, where the kind stands: a list of hundreds of folders is quick.
    """
    try:
        with (folder / "spec.json").open("rb") as file:
            found = re.match(rb'\s*\{\s*"kind":\s*"(\w+)"', file.read(64))
            return found[1].decode() if found else str(json.loads((folder / "spec.json").read_bytes())["kind"])
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return "train"


def _identities(name: str) -> Iterator[str]:
    """Yield <utc-time>-<slug>, then the same with a number."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug}"
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1
