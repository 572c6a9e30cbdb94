"""How fast the runs of a study are without their zeros: each is pruned, and timed while no other run of it trains.

Each pruning (engine.runs.derived) is in its run's folder, where the Prune page shows it; one that exists is used again.
The table `latency` holds their measurements: the columns that identify the member, `run`, `pruning` (its id), and those
of `measures` (engine.jobs.prune_report). The timings are of the machine that the study's own process runs on.
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


def timed_pruning(run: Run, threads: int, stop_requested: Callable[[], bool]) -> DerivedJob | None:
    """Return a finished pruning of a run's zeros, made now if there is none; None if it failed or was stopped."""
    wanted = PruneSpec(threads=threads, onnx=False)
    found = next((known for known in derived_jobs(run, "prune") if _is(known, wanted)), None)
    if found is not None:
        return found
    work = derived_job(run, wanted, "study")
    launch.start(work)
    while work.status.state in LIVE:
        if stop_requested():
            launch.stop(work)
        time.sleep(POLL)
    return work if work.status.state == "done" else None


def latency_rows(who: Mapping[str, object], run: Run, pruning: DerivedJob) -> pd.DataFrame:
    """Return the measurements of a pruning, after the columns that identify its member."""
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
