"""Going back to before a removal: the checkpoint that was kept for it becomes the newest one.

The run is stopped then, and goes on with the network as it was when it is started again. The removal that was undone is
not done again; the next one that is due is. The log is never cut: an event `undo` says from which step on the records
before it are void, and the norms of that moment stand at the end of their log once more.

Only the moment of the undo is the user's: what follows it is as much a function of seed and step as ever. A replay of
the run does not undo.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from winnow.engine.runs.digests import BEFORE, manifests, verified
from winnow.engine.runs.events import Event, cut_torn_line, write_events
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.run import Run


@dataclass(frozen=True)
class Place:
    """Where a run stands: after so many epochs and steps."""

    epoch: int
    step: int


def undo(run: Run) -> Place:
    """Take a run back to before its last removal, and return where it stands then; again, to before the one before.

    Raises:
        ValueError: nothing was removed, the checkpoint from before it is damaged, or the run is at work.

    """
    lock = run.lock()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"`run` should not be at work when a removal is undone. Found {run.id}: running.") from None
    try:
        if run.recorded_status().state == "queued":
            raise ValueError(f"`run` should not be at work when a removal is undone. Found {run.id}: queued.")
        return _undone(run)
    finally:
        lock.release()


def _undone(run: Run) -> Place:
    weights = run.path / "weights"
    kept = manifests(weights / BEFORE)
    if not kept:
        raise ValueError(f"`run` should have had a removal, to undo it. Found none in {run.id}.")
    content = verified(kept[-1])
    if content is None:
        raise ValueError(
            f"`run` should hold the whole checkpoint from before its removal. Found it damaged: {kept[-1]}."
        )
    manifest = json.loads(kept[-1].read_text())
    place = Place(int(manifest["epoch"]), int(manifest["step"]))
    own = weights / kept[-1].name
    replace(own.with_suffix(".safetensors"), content)
    replace_json(own, {**manifest, "removal": place.step})  # it has been dealt with
    for later in reversed(manifests(weights)):
        if later.name > own.name:
            _drop(later)
    best = weights / "best.json"
    if best.exists() and json.loads(best.read_text())["step"] > place.step:
        _drop(best)  # of an epoch that is void
    _record(run, place)
    _drop(kept[-1])  # last: whatever ends this before can be done again
    return place


def _drop(manifest: Path) -> None:
    manifest.unlink()
    manifest.with_suffix(".safetensors").unlink(missing_ok=True)


def _record(run: Run, place: Place) -> None:
    log, now = run.path / "events.jsonl", time.time()
    cut_torn_line(log)
    write_events(log, [Event(now, place.epoch, place.step, None, "control", "undo", None)])
    _repeat_norms(run.norms, place)
    stopped = {
        "state": "stopped",
        "phase": "stopped",
        "message": f"taken back to before the removal after epoch {place.epoch}",
        "epoch": place.epoch,
        "step": place.step,
        "progress": place.epoch / run.spec.epochs,
        "remaining": None,
        "finished": now,
        "updated": now,
    }
    status = run.recorded_status().model_copy(update=stopped)
    replace(run.path / "status.json", status.model_dump_json().encode())


def _repeat_norms(log: NormLog, place: Place) -> None:
    """Put the newest row that still holds at the end of the log."""
    log.begin(log.layers())
    rows = log.rows()
    rows = rows[rows["step"] <= place.step]
    if len(rows):
        last = rows[-1]
        log.append(int(last["epoch"]), int(last["step"]), float(last["strength"]), last["norm"])
