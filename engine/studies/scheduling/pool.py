"""What trains the runs of a study: processes on this machine, or the workers of a cluster.

A pool is handed runs and says when each has ended; how it ended, the run's own folder says. Every run is trained by the
very same worker process (`python -m winnow.engine.jobs.worker RUN`), whatever the pool.
"""

from typing import Protocol

from winnow.engine.runs.run import Run

ATTEMPTS = 4  # how often a run is started at most: once, and again when its process was lost


class Pool(Protocol):
    """Trains runs, some at a time."""

    @property
    def where(self) -> str:
        """In words, where the runs are trained."""
        ...

    def free(self) -> bool:
        """Return whether it takes another run now."""
        ...

    def start(self, run: Run) -> None:
        """Train a run that waits, was stopped or was lost; one that is live already is only watched."""
        ...

    def ended(self, run: Run) -> str:
        """Return "" while a run that was started goes on, then the state that it ended in.

        A run that was lost is started again, a few times at most.
        """
        ...

    def stop(self, run: Run) -> None:
        """Ask a run to store a checkpoint and end, or take it back if nobody has begun it."""
        ...

    def close(self) -> None:
        """Let go of what the pool holds, the runs not among it."""
        ...
