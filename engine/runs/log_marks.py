"""Where the logs of a run were when a checkpoint was made, so that a resume repeats none of their rows and loses none.

A worker that is killed has written records after its newest checkpoint. The one that goes on makes them again, so it
first cuts the logs to the lengths in the checkpoint's manifest, `logs`: {events, norms [bytes], losses: {task: [the
losses since the last record]}}. Without a checkpoint a run begins anew, and so do its logs. A manifest of an earlier
version has no lengths: then only a torn last record is removed.
"""

from pathlib import Path
from typing import Any

from winnow.engine.runs.events import cut_torn_line
from winnow.engine.runs.files import cut, flush
from winnow.engine.runs.reading import read_object, taken_apart

EVENTS, NORMS = "events.jsonl", "groups/norms.bin"


def marks(run: Path, losses: dict[str, list[float]] | None = None) -> dict[str, Any]:
    """Return the lengths of a run's logs now, flushed to the disk, for the manifest of a checkpoint."""
    lengths = {name: flush(run / file) for name, file in (("events", EVENTS), ("norms", NORMS))}
    return {**lengths, "losses": losses or {}}


def cut_to_checkpoint(run: Path, step: int) -> dict[str, list[float]]:
    """Cut a run's logs to where its checkpoint of this step was made; return the losses that wait for a record.

    Step 0 is a run without a checkpoint.
    """
    if step == 0:
        cut(run / EVENTS, 0)
        cut(run / NORMS, 0)
        return {}
    found: dict[str, Any] = read_object(run / "weights" / f"{step:08d}.json").get("logs", {})
    if not found:
        cut_torn_line(run / EVENTS)
        return {}
    with taken_apart(run / "weights" / f"{step:08d}.json"):
        events, norms = int(found["events"]), int(found["norms"])
        waiting = {str(task): [float(loss) for loss in losses] for task, losses in found["losses"].items()}
        if events < 0 or norms < 0:
            raise ValueError("a log cannot be shorter than nothing")
    cut(run / EVENTS, events)
    cut(run / NORMS, norms)
    return waiting


def remove_unfinished(folder: Path) -> None:
    """Remove files that a killed worker was writing; those of who asks something of the run are its own."""
    for file in folder.rglob(".*.tmp"):
        if not file.name.startswith(".control.json."):
            file.unlink(missing_ok=True)
