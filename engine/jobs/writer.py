"""What a worker writes: status, events and tables of a folder of work; readers never see half of one."""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pandas as pd
import psutil

from winnow.engine.runs.digests import forget_digests, note_digests
from winnow.engine.runs.events import Event, cut_torn_line, write_events
from winnow.engine.runs.files import overwrite, replace
from winnow.engine.runs.log_marks import remove_unfinished
from winnow.engine.runs.trackers import Trackers
from winnow.engine.runs.work_folder import LONGEST_TEXT, Status, WorkFolder

STATUS_EVERY = 0.5  # s
CUT = "… and more, for which there is no room here"
Values = Mapping[tuple[str | None, str], float | None]  # {(task, quantity): value}


class Writer(Protocol):
    """What a job writes with; `ResultWriter` writes into a folder of work."""

    @property
    def folder(self) -> Path:
        """The folder: tables go into `tables/`, the job's own files beside it."""
        ...

    def status(self, **changes: object) -> None:
        """Change the status and write it now."""

    def tick(self, **changes: object) -> None:
        """Change the status, and write it unless it was written a moment ago."""

    def remark(self, sentence: str) -> None:
        """Say this now, and with the end, unless the work fails."""

    def tell(self, sentence: str) -> None:
        """Say this now, after the remarks, in the place of what was told before."""

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Replace the table `name`."""

    def events(self, place: tuple[int, int], split: str, values: Values) -> None:
        """Append {(task, quantity): value} for one split at (epoch, step)."""


class ResultWriter:
    """Writes status.json (at most twice a second while only numbers change), events.jsonl and tables."""

    def __init__(self, work: WorkFolder) -> None:
        self.folder, self._pid = work.path, os.getpid()
        now = time.time()
        process = psutil.Process()
        self._status = work.recorded_status().model_copy(
            update={
                "state": "running",
                "phase": "starting",
                "message": "",
                "paused": False,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "pid_created": process.create_time(),
                "started": now,
                "finished": None,
                "ended_with": None,
                "ended_rank": None,
            }
        )
        self._written = 0.0
        self._trackers = Trackers({})
        self._conclusion = ""
        self._remarks, self._told = list[str](), ""
        try:
            remove_unfinished(self.folder)
            forget_digests(self.folder)
            cut_torn_line(self.folder / "events.jsonl")
            self.status()
        except OSError as error:
            with suppress(OSError):
                self.finish_in_place("failed", f"its folder cannot be written to: {error.strerror}")
            raise

    def report_to(self, trackers: Trackers) -> None:
        """Send all further events to these, too."""
        self._trackers = trackers

    def status(self, **changes: object) -> None:
        """Change the status and write it now."""
        self._refuse_copy()
        self._status = Status.model_validate({**self._status.model_dump(), **changes, "updated": time.time()})
        replace(self.folder / "status.json", self._status.model_dump_json().encode())
        self._written = time.monotonic()

    def tick(self, **changes: object) -> None:
        """Change the status, and write it unless it was written a moment ago."""
        self._status = self._status.model_copy(update=changes)
        if time.monotonic() - self._written > STATUS_EVERY:
            self.status()

    def remark(self, sentence: str) -> None:
        """Say this now, and with the end, unless the work fails: what the next message replaces would be lost."""
        self._remarks = [*dict.fromkeys([*self._remarks, sentence])]
        self.tell(self._told)

    def tell(self, sentence: str) -> None:
        """Say this now, after the remarks, in the place of what was told before."""
        self._told = sentence
        self.status(message=_joined([*self._remarks, sentence]))

    def conclude(self, sentence: str) -> None:
        """Say this with the end, if the work ends well."""
        self._conclusion = sentence

    def finish(self, state: str, message: str = "") -> None:
        """Write how the work ended."""
        message = message or (self._conclusion if state == "done" else "")
        message = message if state == "failed" else _joined([*self._remarks, message])
        self._trackers.close()
        note_digests(self.folder)
        ended = {"progress": 1.0} if state == "done" else {}
        self.status(state=state, phase=state, message=message, finished=time.time(), remaining=None, **ended)

    def fail(self, message: str) -> None:
        """Write that the work failed, even where nothing new fits on the disk."""
        try:
            self.finish("failed", message)
        except OSError:
            self.finish_in_place("failed", message)

    def finish_in_place(self, state: str, message: str) -> None:
        """Write how the work ended over the status that is there: the last resort where no new file fits the disk."""
        self._refuse_copy()
        changed = {"state": state, "phase": state, "message": message, "finished": time.time(), "remaining": None}
        self._status = self._status.model_copy(update=changed)
        overwrite(self.folder / "status.json", self._status.model_dump_json().encode())

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Replace the table `name`."""
        self._refuse_copy()
        folder = self.folder / "tables"
        folder.mkdir(exist_ok=True)
        replace(folder / f"{name}.parquet", frame.to_parquet(index=False))

    def events(self, place: tuple[int, int], split: str, values: Values) -> None:
        """Append {(task, quantity): value} for one split at (epoch, step)."""
        self._refuse_copy()
        epoch, step = place
        now = time.time()
        made = [Event(now, epoch, step, task, split, quantity, value) for (task, quantity), value in values.items()]
        write_events(self.folder / "events.jsonl", made)
        self._trackers.log(made)

    def _refuse_copy(self) -> None:
        """Raise in a process that was forked from the one that writes.

        Raises:
            RuntimeError: always there; two processes would write over one another.

        """
        if os.getpid() != self._pid:
            raise RuntimeError(
                "`run` must be written by the process that began it, got a copy of it that os.fork made. End the copy "
                "with os._exit, or start it with the subprocess module."
            )


def _joined(sentences: Iterable[str]) -> str:
    """Return sentences as one text: those without a full stop are parted by semicolons, others begin with a capital."""
    said = ""
    for sentence in filter(None, sentences):
        ended = said.endswith(".")
        said += f"{'' if not said else ' ' if ended else '; '}{sentence[:1].upper() if ended else sentence[:1]}"
        said += sentence[1:]
    return said if len(said) <= LONGEST_TEXT else f"{said[: LONGEST_TEXT - len(CUT)]}{CUT}"
