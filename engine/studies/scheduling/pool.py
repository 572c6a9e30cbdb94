"""What trains the runs of a study: the protocol of a pool, and the pool of this machine.

A pool is given runs and says when each has ended; the run's own folder says how. Whatever the pool, a run is trained by
the same worker process (`python -m winnow.engine.jobs.worker RUN`). `engine.studies.scheduling.cluster` is the pool of
a cluster.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import psutil

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.train import TrainSpec
from winnow.engine.studies.scheduling.machine import Machine, this_machine

ATTEMPTS = 4  # times that a run is started at most: once, and again when its process was lost


class Pool(Protocol):
    """Trains runs, some at a time."""

    @property
    def where(self) -> str:
        """Where the runs are trained, for the status line."""
        ...

    def free(self) -> bool:
        """Return whether the pool takes another run now."""
        ...

    def start(self, run: Run) -> None:
        """Train a run that is waiting, stopped, lost or failed; one that has a worker is only watched."""
        ...

    def ended(self, run: Run) -> str:
        """Return "" while a started run goes on, then its final state.

        A run that was lost is started again, a few times at most.
        """
        ...

    def stop(self, run: Run) -> None:
        """Ask a run to save a checkpoint and end, or withdraw it if no worker has begun it."""
        ...

    def close(self) -> None:
        """Release what the pool holds; its runs go on."""
        ...


class LocalPool:
    """Worker processes on this machine, `size` at a time; they outlive the process that started them.

    Each run gets `each` of the named GPUs, those that fewest others use: left to itself, every run would take the first
    ones.
    """

    def __init__(self, size: int, each: int = 0, gpus: Sequence[str] = (), takes: str = "") -> None:
        self._size, self._each, self._gpus, self._takes = size, each, tuple(gpus), takes
        self._attempts: Counter[str] = Counter()
        self._going: dict[str, tuple[str, ...]] = {}  # the GPUs of each run

    @property
    def where(self) -> str:
        """Where the runs are trained, for the status line."""
        return f"{self._size} at a time on this machine{self._takes}"

    def free(self) -> bool:
        """Return whether fewer than `size` runs are going."""
        return len(self._going) < self._size

    def start(self, run: Run) -> None:
        """Start the worker of a run, unless it has one."""
        status = run.status
        if status.state in LIVE and not (status.state == "queued" and status.requested is None):
            self._going[run.id] = _held(run)
            return
        self._going.pop(run.id, None)
        given = self._least_used()
        self._attempts[run.id] += 1
        launch.start(run, given)
        self._going[run.id] = given

    def ended(self, run: Run) -> str:
        """Return the final state of a run, "" while it goes on; a lost run is started again."""
        state = run.status.state
        if state in LIVE:
            return ""
        if state == "lost" and self._attempts[run.id] < ATTEMPTS:
            time.sleep(0.1 * self._attempts[run.id])
            self.start(run)
            return ""
        self._going.pop(run.id, None)
        return state

    def stop(self, run: Run) -> None:
        """Ask a run to save a checkpoint and end."""
        launch.stop(run)

    def close(self) -> None:
        """Do nothing: the worker processes go on."""

    def _least_used(self) -> tuple[str, ...]:
        """Return the GPUs for another run."""
        uses = Counter(gpu for given in self._going.values() for gpu in given)
        return tuple(sorted(self._gpus, key=lambda gpu: uses[gpu])[: self._each])


def local_pool(base: TrainSpec, workers: int | None = None, machine: Machine | None = None) -> LocalPool:
    """Return the pool of this machine for runs like `base`, `workers` at a time or as many as fit."""
    here = machine or this_machine(base.device)
    size, each = here.at_a_time(base, workers), here.gpus_of(base)
    return LocalPool(size, each, here.gpus, here.in_words(base, size))


def _held(run: Run) -> tuple[str, ...]:
    """Return the GPUs that the process of a live run was given."""
    try:
        process = launch.worker_process(run.recorded_status())
        named = process.environ().get(launch.GPUS, "") if process is not None else ""
    except psutil.Error:
        return ()
    return tuple(part for part in named.split(",") if part)
