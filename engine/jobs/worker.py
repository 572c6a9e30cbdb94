"""`python -m winnow.engine.jobs.worker FOLDER`: the process that works on a run, a study or a derived job.

It alone writes results. The lock comes first, before torch is imported, so that the page knows within a moment that
somebody is at work. However it ends, status.json says so in one sentence; the traceback goes to log.txt.

    torchrun --nproc-per-node N -m winnow.engine.jobs.worker RUN

trains a run with N processes (engine.training.distributed). All this holds for the first of them; the others only
compute. Where one of them dies, the first ends without a word: the run is lost, and can be resumed.
"""

import errno
import os
import signal
import sys
import threading
import traceback

from filelock import Timeout

from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import DerivedJob, open_work
from winnow.engine.runs.launch import TIED
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.training.distributed.place import RankLostError, place

LOCK_TIMEOUT = 5.0  # s: longer than a reader holds the lock to see whether it is free


def main(arguments: list[str]) -> int:
    """Work on the folder that is named; return the exit code: 0 ended well, 1 failed, 2 not ours to start."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m winnow.engine.jobs.worker FOLDER\n")
        return 2
    work, here = open_work(arguments[0]), place()
    if here.count > 1 and not isinstance(work, Run):
        sys.stderr.write(f"{work.id} is not a run: one process works on it\n")
        return 2
    if isinstance(work, Run) and here.rank > 0:
        return _help(work)
    lock = work.lock()
    try:
        lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        sys.stderr.write(f"{work.id} is being worked on already\n")
        return 2
    ending = StopRequest(work)
    signal.signal(signal.SIGTERM, ending.signal)
    if os.environ.get(TIED):
        threading.Thread(target=_stop_when_left, args=(ending,), daemon=True).start()
    try:
        return _work(work, ResultWriter(work), ending)
    finally:
        lock.release()


def _help(run: Run) -> int:
    """Train along with the process that writes; its end is ours, however it was asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from winnow.engine.jobs.other_ranks import SilentWriter
    from winnow.engine.jobs.training_job import run_training

    run_training(run, SilentWriter(run), StopRequest(run))
    return 0


def _stop_when_left(ending: StopRequest) -> None:
    """Ask for the end once whoever started this worker is gone: its end of our standard input is closed then."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    ending.signal(signal.SIGTERM, None)


def _work(work: Run | DerivedJob | Study, writer: ResultWriter, ending: StopRequest) -> int:
    """Do what was asked, and say how it ended."""
    try:
        writer.status(phase="starting" if isinstance(work, Study) else "importing torch")
        writer.finish(_done(work, writer, ending))
    except RankLostError:
        traceback.print_exc()
        return 1
    except Exception as error:  # noqa: BLE001 - whatever happens, the folder must say so
        traceback.print_exc()
        writer.finish("failed", sentence(error))
        return 1
    return 0


def _done(work: Run | DerivedJob | Study, writer: ResultWriter, ending: StopRequest) -> str:
    """Return the final state, done or stopped; the imports take seconds, after the lock and the first status."""
    if isinstance(work, Run):
        from winnow.engine.jobs.training_job import run_training

        return run_training(work, writer, ending)
    if isinstance(work, Study):
        from winnow.engine.jobs.study_job import run_study

        return run_study(work, writer, ending)
    spec = work.spec
    if spec.kind == "prune":
        from winnow.engine.jobs.prune_job import run_prune

        return run_prune(work.run, spec, writer, ending)
    if spec.kind == "explain":
        from winnow.engine.jobs.explain_job import run_explain

        return run_explain(work.run, spec, writer, ending)
    from winnow.engine.jobs.export_job import run_export

    return run_export(work.run, spec, writer, ending)


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
