"""`python -m winnow.engine.jobs.worker FOLDER`: the process that works on a run, a study or a derived job.

It alone writes results. It takes the lock before it imports torch, so that a page sees at once that the work has begun.
However it ends, status.json says so in one sentence; the traceback goes to log.txt.

    torchrun --nproc-per-node N -m winnow.engine.jobs.worker RUN

trains a run with N processes (engine.training.distributed). All this holds for the first of them; the others only
compute. If one of them dies, the first ends and leaves the status as it is: the run is lost, and can be resumed.
"""

import errno
import faulthandler
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from typing import NoReturn

from filelock import Timeout

from winnow.data.blame import error_line, error_text, users_line
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.derived import DerivedJob, Work, open_work
from winnow.engine.runs.files import cut
from winnow.engine.runs.launch import TIED
from winnow.engine.runs.provenance import note_start
from winnow.engine.runs.run import Run
from winnow.engine.runs.trackers import opened_trackers
from winnow.engine.specs.jobs import JOBS
from winnow.engine.specs.registry import entry
from winnow.engine.training.distributed.place import RankLostError, place

LOCK_TIMEOUT = 5.0  # s: longer than a reader holds the lock to see whether it is free


def main(arguments: list[str]) -> int:
    """Work on the named folder; return the exit code: 0 ended well, 1 failed, 2 refused."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m winnow.engine.jobs.worker FOLDER\n")
        return 2
    work, here = open_work(arguments[0]), place()
    if here.count > 1 and not isinstance(work, Run):
        sys.stderr.write(f"{work.id} is not a run: start its worker without torchrun.\n")
        return 2
    if isinstance(work, Run) and here.rank > 0:
        return _help(work)
    lock = work.lock()
    try:
        lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        sys.stderr.write(f"{work.id} already has a worker\n")
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
    """Train together with the process that writes, and end when it does, whatever signal arrives."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from winnow.engine.jobs.other_ranks import SilentWriter
    from winnow.engine.jobs.training_job import run_training

    run_training(run, SilentWriter(run), StopRequest(run))
    return 0


def _stop_when_left(ending: StopRequest) -> None:
    """Ask for the end once the process that started this worker is gone, which closes our standard input."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    ending.signal(signal.SIGTERM, None)


def _work(work: Work, writer: ResultWriter, ending: StopRequest) -> int:
    """Do what was asked, and say how it ended."""
    own = os.getpid()
    try:
        writer.status(phase="importing torch" if isinstance(work, Run | DerivedJob) else "starting")
        note_start(work.path, work.spec)
        if isinstance(work, Run):
            writer.report_to(opened_trackers(work))
        writer.finish(_done(work, writer, ending))
    except RankLostError:
        traceback.print_exc()
        return 1
    except BaseException as error:  # noqa: BLE001 - whatever happens, the folder must say so
        if os.getpid() != own:
            _end_copy(error)
        _say_failed(writer, error)
        return 1
    return 0


def _end_copy(error: BaseException) -> NoReturn:
    """End a copy of this process that code of the user's own forked: folder and lock are those of the first one."""
    with suppress(Exception):
        traceback.print_exception(error)
    os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1)


def _say_failed(writer: ResultWriter, error: BaseException) -> None:
    """Say why the work failed, in the log and in the status, even where nothing new fits on the disk."""
    with suppress(Exception):  # the code may have closed what we write to
        traceback.print_exc()
    writer.fail(reason(error))


def _done(work: Work, writer: ResultWriter, ending: StopRequest) -> str:
    """Do what the kind of the job asks for; return the final state, done or stopped.

    Importing the job takes seconds: it comes after the lock and the first status.
    """
    if isinstance(work, DerivedJob):
        cut(work.path / "events.jsonl", 0)  # it is done from the start, whatever an interrupted worker has recorded
    run = entry(JOBS, work.spec.kind, "kind").run.load()
    if not isinstance(work, DerivedJob):
        return str(run(work, writer, ending))
    from winnow.engine.jobs.run_data import compute_alike
    from winnow.engine.tasks.surroundings import THEIRS, settings_held

    compute_alike()  # the job does so too: from here on, whatever changes a setting is code of the user's own
    with settings_held(THEIRS):
        return str(run(work.run, work.spec, writer, ending))


def reason(error: BaseException) -> str:
    """Say in one sentence why a run failed."""
    if isinstance(error, SystemExit):
        return f"the code of the network, the data or a task ended the process: sys.exit({error.code!r}). Take that out"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by SIGINT (Ctrl-C), or by code that raised KeyboardInterrupt" + _at(error)
    text = error_text(error)
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return "out of memory: take a smaller batch or image, or more micro-batches (`accumulate`)"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return "disk full: the last checkpoint is intact. Free some space and resume"
    known = isinstance(error, ValueError | ArithmeticError)
    return (text if known and text else error_line(error)) + _at(error)


def _at(error: BaseException) -> str:
    """Return where in the user's own code it happened, "" where it did not."""
    line = users_line(error)
    return f" ({line})" if line else ""


if __name__ == "__main__":
    faulthandler.enable()  # what a crash of the process was at goes to the log
    sys.exit(main(sys.argv[1:]))
