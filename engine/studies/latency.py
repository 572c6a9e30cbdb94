"""How fast the runs of a study are once what is zero is gone: each is pruned, and timed when nothing else of it runs.

A pruning (engine.runs.derived) is left in each run's folder, so that the Prune page shows it; one that is there already
is referred to. The table `latency` holds what they measured: the columns of `measures` (engine.jobs.prune_report)
behind those that say which member it is, and `pruning`, its id. Timings are of the machine that the study's own process
runs on.
"""

import time
from collections.abc import Callable, Mapping

import pandas as pd

from winnow.engine.runs import launch
from winnow.engine.runs.derived import DerivedJob, derived_job, derived_jobs
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.prune import PruneSpec

POLL = 0.2  # s


def measured(run: Run, threads: int, asked_to_end: Callable[[], bool]) -> DerivedJob | None:
    """Return the pruning of a run's zeros that is done, made now if there is none; None if it failed or was stopped."""
    wanted = PruneSpec(threads=threads, onnx=False)
    found = next((known for known in derived_jobs(run, "prune") if _is(known, wanted)), None)
    if found is not None:
        return found
    work = derived_job(run, wanted, "study")
    launch.start(work)
    while work.status.state in LIVE:
        if asked_to_end():
            launch.stop(work)
        time.sleep(POLL)
    return work if work.status.state == "done" else None


def latency_rows(who: Mapping[str, object], run: Run, pruning: DerivedJob) -> pd.DataFrame:
    """Return what a pruning measured, behind the columns of its member."""
    frame = pruning.table("measures")
    first = {**who, "run": run.id, "pruning": pruning.id}
    for place, (name, value) in enumerate(first.items()):
        frame.insert(place, name, [value] * len(frame))
    return frame


def _is(known: DerivedJob, wanted: PruneSpec) -> bool:
    try:
        return known.spec == wanted and known.recorded_status().state == "done"
    except (SpecError, ValueError):
        return False
