"""Going back to before a removal: the checkpoint from before it becomes the newest one.

The run is stopped then; when it is started again, it goes on with the network as it was. The removal that was undone is
not repeated; the next one that is due is made. The log is never cut: an event `undo` says from which step on the
records before it are void, and the norms of that step are written once more at the end of their log.

Only when to undo is the user's choice: what follows depends on seed and step alone, as always. A replay of the run does
not undo.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from winnow.engine.runs.digests import BEFORE, forget_digests, manifests, verified
from winnow.engine.runs.events import Event, cut_torn_line, write_events
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.log_marks import marks
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.reading import read_object, taken_apart
from winnow.engine.runs.run import Run


@dataclass(frozen=True)
class Moment:
    """A moment of a training: after so many epochs and steps."""

    epoch: int
    step: int


def undo(run: Run) -> Moment:
    """Take a run back to before its last removal, and return that moment; again, to before the removal before it.

    Raises:
        ValueError: nothing was removed, the checkpoint from before it is damaged, or the run has a worker.

    """
    lock = run.lock()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"`run` must not be running to undo a removal, got {run.id}. Stop it first.") from None
    try:
        if run.recorded_status().state == "queued":
            raise ValueError(f"`run` must not be queued to undo a removal, got {run.id}. Let it start, then stop it.")
        return _undone(run)
    finally:
        lock.release()


def _undone(run: Run) -> Moment:
    weights = run.path / "weights"
    kept = manifests(weights / BEFORE)
    if not kept:
        raise ValueError(f"`run` must have a removal to undo, got none in {run.id}.")
    content = verified(kept[-1])
    if content is None:
        raise ValueError(
            f"`run` must hold an intact checkpoint from before its removal, got a damaged one: {kept[-1]}."
        )
    manifest, best = read_object(kept[-1]), weights / "best.json"
    with taken_apart(kept[-1]):
        back = Moment(int(manifest["epoch"]), int(manifest["step"]))
        losses = manifest.get("logs", {}).get("losses")
    with taken_apart(best):
        void = best.exists() and int(read_object(best)["step"]) > back.step
    forget_digests(run.path)
    own = weights / kept[-1].name
    replace(own.with_suffix(".safetensors"), content)
    replace_json(own, {**manifest, "removal": back.step})  # or it would be made again
    for later in reversed(manifests(weights)):
        if later.name > own.name:
            _delete(later)
    if void:
        _delete(best)  # of an epoch that is void
    _record(run, back)
    logs = marks(run.path, losses)  # or a resume would cut the record
    replace_json(own, {**manifest, "removal": back.step, "logs": logs})
    _delete(kept[-1])  # last: if this process ends before, the undo can be repeated
    return back


def _delete(manifest: Path) -> None:
    manifest.unlink()
    manifest.with_suffix(".safetensors").unlink(missing_ok=True)


def _record(run: Run, back: Moment) -> None:
    log, now = run.path / "events.jsonl", time.time()
    cut_torn_line(log)
    write_events(log, [Event(now, back.epoch, back.step, None, "control", "undo", None)])
    _repeat_norms(run.norms, back)
    stopped = {
        "state": "stopped",
        "phase": "stopped",
        "message": f"the removal after epoch {back.epoch} is undone",
        "epoch": back.epoch,
        "step": back.step,
        "progress": back.epoch / run.spec.epochs,
        "remaining": None,
        "finished": now,
        "updated": now,
    }
    status = run.recorded_status().model_copy(update=stopped)
    replace(run.path / "status.json", status.model_dump_json().encode())


def _repeat_norms(log: NormLog, back: Moment) -> None:
    """Write the newest row that holds once more, at the end of the log."""
    log.begin(log.layers())
    rows = log.rows()
    rows = rows[rows["step"] <= back.step]
    if len(rows):
        last = rows[-1]
        log.append(int(last["epoch"]), int(last["step"]), float(last["strength"]), last["norm"])
