"""Worker processes on this machine, as many at a time as its cores carry. They outlive whoever started them."""

import os
import time
from collections import Counter

from engine import jobs
from engine.folders import LIVE
from engine.runs import Run
from engine.scheduling.pool import ATTEMPTS


class LocalPool:
    """At most `size` runs at a time, each in a process of its own."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._attempts: Counter[str] = Counter()
        self._going: set[str] = set()

    @property
    def where(self) -> str:
        """In words, where the runs are trained."""
        return f"{self._size} at a time on this machine"

    def free(self) -> bool:
        """Return whether there is room for another run."""
        return len(self._going) < self._size

    def start(self, run: Run) -> None:
        """Start the worker of a run, unless it has one."""
        self._going.add(run.id)
        status = run.status
        if status.state not in LIVE or (status.state == "queued" and status.requested is None):
            self._attempts[run.id] += 1
            jobs.start(run)

    def ended(self, run: Run) -> str:
        """Return the state that a run ended in, "" while it goes on; a lost one is started again."""
        state = run.status.state
        if state in LIVE:
            return ""
        if state == "lost" and self._attempts[run.id] < ATTEMPTS:
            time.sleep(0.1 * self._attempts[run.id])
            self.start(run)
            return ""
        self._going.discard(run.id)
        return state

    def stop(self, run: Run) -> None:
        """Ask a run to store a checkpoint and end."""
        jobs.stop(run)

    def close(self) -> None:
        """Do nothing: the processes are not ours to end."""


def room(threads: int) -> int:
    """Return how many workers of so many threads fit on the cores that this process may use, one at least."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // threads)
