"""Worker processes on this machine, as many at a time as it carries. They outlive whoever started them.

Where runs train on GPUs, each is given GPUs of its own, those that fewest of the others have: by itself every run would
take the first ones.
"""

import time
from collections import Counter
from collections.abc import Sequence

import psutil

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.train import TrainSpec
from winnow.engine.studies.scheduling.machine import Machine, this_machine
from winnow.engine.studies.scheduling.pool import ATTEMPTS


class LocalPool:
    """At most `size` runs at a time, each in a process of its own, with `each` of the GPUs that are named."""

    def __init__(self, size: int, each: int = 0, gpus: Sequence[str] = (), takes: str = "") -> None:
        self._size, self._each, self._gpus, self._takes = size, each, tuple(gpus), takes
        self._attempts: Counter[str] = Counter()
        self._going: dict[str, tuple[str, ...]] = {}  # the GPUs of each run

    @property
    def where(self) -> str:
        """In words, where the runs are trained."""
        return f"{self._size} at a time on this machine{self._takes}"

    def free(self) -> bool:
        """Return whether there is room for another run."""
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
        """Return the state that a run ended in, "" while it goes on; a lost one is started again."""
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
        """Ask a run to store a checkpoint and end."""
        launch.stop(run)

    def close(self) -> None:
        """Do nothing: the processes are not ours to end."""

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
