"""`python -m engine.worker RUN`: the process that works on a run. It alone writes results.

The lock comes first, before torch is imported, so that the page knows within a moment that somebody is at work. However
it ends, status.json says so in one sentence; the traceback goes to log.txt.
"""

import errno
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from filelock import Timeout

from engine.reporting import Reporter
from engine.runs import Run

LOCK_TIMEOUT = 5.0  # s: longer than a reader holds the lock to see whether it is free


def main(arguments: list[str]) -> int:
    """Work on the run whose folder is named; return the exit code: 0 ended well, 1 failed, 2 not ours to start."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m engine.worker RUN\n")
        return 2
    run = Run.open(Path(arguments[0]))
    lock = run.lock()
    try:
        lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        sys.stderr.write(f"{run.id} is being worked on already\n")
        return 2
    ending: list[bool] = []

    def end(signum: int, frame: FrameType | None) -> None:
        ending.append(True)

    signal.signal(signal.SIGTERM, end)
    try:
        return _work(Reporter(run), ending)
    finally:
        lock.release()


def _work(reporter: Reporter, ending: list[bool]) -> int:
    """Train, and say how it ended."""
    try:
        reporter.status(phase="importing torch")
        from engine.training_job import run_training  # seconds of import, after the lock and the first status

        reporter.finish(run_training(reporter, ending))
    except Exception as error:  # noqa: BLE001 - whatever happens, the run must say so
        traceback.print_exc()
        reporter.finish("failed", sentence(error))
        return 1
    return 0


def sentence(error: Exception) -> str:
    """Say in one sentence why a run failed."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "out of memory: a smaller batch or image needs less"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return "disk full: the last checkpoint is intact"
    text = str(error).splitlines()[0] if str(error) else ""
    known = isinstance(error, ValueError | ArithmeticError)
    return text if known and text else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
