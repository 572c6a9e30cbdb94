"""The run folder: the one door between the process that trains and those that look on.

    runs/<utc-time>-<slug>/
      spec.json        written once, before the start
      status.json      queued → running → done | stopped | failed (message); replaced atomically
      events.jsonl     append-only (engine.events)
      groups/          norms of every group, one row per epoch (engine.norms)
      tables/*.parquet tidy tables
      weights/         checkpoints in safetensors, each with a manifest (engine.checkpoint); network.json
      control.json     what the user asks of the live run (engine.control)
      lock             held while the worker lives        log.txt    the worker's output

The worker writes everything but spec.json and control.json. Life is a held lock, not a process number: a lock is free
the moment its holder dies, while a number may belong to somebody else by then. `lost` is therefore derived: the status
says running and the lock is free.
"""

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError

from engine.control import Control, ask, read_control
from engine.events import read_events
from engine.files import replace, replace_json
from engine.norms import NormLog
from engine.spec import Frozen, SpecError, StrengthChange, TrainSpec, parse

State = Literal["queued", "running", "done", "stopped", "failed", "lost"]
LIVE: tuple[State, ...] = ("queued", "running")
PACKAGES = ("winnow", "torch", "numpy", "captum")
START_GRACE = 30.0  # seconds that a started worker may take before it holds the lock


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


class Run:
    """One run folder. Open it, read it; only the worker writes results into it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the run at `path`.

        Raises:
            FileNotFoundError: there is no run folder at `path`.

        """
        folder = Path(path).resolve()
        if not (folder / "spec.json").is_file():
            raise FileNotFoundError(f"`path` should be a run folder, with a spec.json in it. Found {str(path)!r}.")
        return cls(folder)

    @property
    def id(self) -> str:
        """The folder's name, by which the run is called everywhere."""
        return self.path.name

    @cached_property
    def spec(self) -> TrainSpec:
        """What was asked; raises `SpecError` where the file is not a spec that this version can read."""
        document = json.loads((self.path / "spec.json").read_text())
        document.pop("packages", None)
        return parse(document)

    @property
    def packages(self) -> dict[str, str]:
        """The package versions that the run was created with."""
        found: dict[str, str] = json.loads((self.path / "spec.json").read_text()).get("packages", {})
        return found

    @property
    def status(self) -> Status:
        """Where the run stands now; `lost` when the worker died without saying so."""
        status = self.recorded_status()
        if status.state not in LIVE or (status.state == "queued" and status.requested is None):
            return status
        starting = status.state == "queued" and time.time() - (status.requested or 0.0) < START_GRACE
        if starting or self.alive():
            return status
        return status.model_copy(update={"state": "lost", "message": "the training process ended without a word"})

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
        """Return the log from byte `since` on (`frame.attrs["offset"]` of the last call); columns as engine.events."""
        return read_events(self.path / "events.jsonl", since)

    def groups(self, epoch: int | None = None) -> pd.DataFrame:
        """Return the groups at the end of an epoch, the newest by default: layer, channel, size, norm, alive."""
        return self.norms.frame(epoch)

    @property
    def norms(self) -> NormLog:
        """The norms of all groups over the epochs."""
        return NormLog(self.path / "groups")

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

    def replay(self) -> TrainSpec:
        """Return a spec that does again what was done, live changes of the strength at their steps included."""
        events = self.events()
        changes = events[(events["quantity"] == "strength") & (events["split"] == "control")]
        lived = [
            StrengthChange(step=int(step), strength=float(value))
            for step, value in zip(changes["step"], changes["value"], strict=True)
        ]
        return self.spec.model_copy(update={"strength_changes": (*self.spec.strength_changes, *lived)})


def runs_folder() -> Path:
    """Return where runs live: WINNOW_RUNS, or runs/ in the working folder."""
    return Path(os.environ.get("WINNOW_RUNS", "runs")).resolve()


def create(spec: TrainSpec, root: Path | None = None) -> Run:
    """Make the folder of a new run, whole or not at all, and return it queued."""
    root = root or runs_folder()
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".new-{secrets.token_hex(6)}"
    draft.mkdir()
    document = {**spec.model_dump(mode="json"), "packages": {name: version(name) for name in PACKAGES}}
    replace_json(draft / "spec.json", document)
    replace(draft / "status.json", Status(epochs=spec.epochs).model_dump_json().encode())
    for identity in _identities(spec.name):
        try:
            draft.rename(root / identity)
        except OSError:  # taken: a folder that holds something is never renamed onto
            continue
        return Run(root / identity)
    raise RuntimeError("unreachable: identities do not end")


def find(name: str, root: Path | None = None) -> Run:
    """Return the run called `name`: its id, or a spec's name (the newest of that name).

    Raises:
        FileNotFoundError: no such run below the root. A name is never a path: what leaves the root is not found.

    """
    matching = [run for run in list_runs(root) if run.id == name]
    matching = matching or [run for run in list_runs(root) if _spec_name(run) == name]
    if not matching:
        raise FileNotFoundError(f"`run` should be the id or name of a run in {root or runs_folder()}. Found {name!r}.")
    return matching[0]


def list_runs(root: Path | None = None) -> list[Run]:
    """Return all runs below the root, newest first; links that lead out of it are left out."""
    root = root or runs_folder()
    if not root.is_dir():
        return []
    folders = [entry for entry in root.iterdir() if not entry.name.startswith(".") and not entry.is_symlink()]
    found = [Run(folder) for folder in folders if (folder / "spec.json").is_file()]
    return sorted(found, key=lambda run: run.id, reverse=True)


def _spec_name(run: Run) -> str | None:
    try:
        return run.spec.name
    except (SpecError, ValueError):
        return None


def _identities(name: str) -> Iterator[str]:
    """Yield <utc-time>-<slug>, then the same with a number."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug}"
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1
