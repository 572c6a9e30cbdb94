"""What a worker of a cluster does for a run: it starts the same process that a single machine would, and waits for it.

This function is what Dask sends; the cluster's worker has to find this package and the runs folder at the same path
(`--shared` file systems do that). When the cluster's worker is killed, the process that it started hears of it, stores
a checkpoint and stops (or dies with it), and Dask gives the run to another worker, which goes on from there.
"""

import time
from pathlib import Path

from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.studies.scheduling.pool import ATTEMPTS

POLL = 0.2  # s


class LostError(RuntimeError):
    """A run whose process dies each time."""


def train_run(folder: str) -> str:
    """Train the run in a folder from where it stands; return the state that it ended in.

    Raises:
        LostError: its process was lost each time that it was started.

    """
    run = Run.open(Path(folder))
    for _ in range(ATTEMPTS):
        _wait_for_another(run)
        if run.status.state not in ("done", "failed"):
            launch.work(run)
        if (state := run.status.state) != "lost":
            return state
    raise LostError(f"the process of {run.id} was lost {ATTEMPTS} times")


def _wait_for_another(run: Run) -> None:
    """Wait while a worker that is about to stop still holds the run."""
    while (status := run.status).state in LIVE and not (status.state == "queued" and status.requested is None):
        time.sleep(POLL)
