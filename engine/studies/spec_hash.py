"""What a run is, as one hash: two runs of one hash end with the same bits on one machine.

The hash covers all that decides the result:

- the spec, as JSON with sorted keys, except what decides nothing: the name of the run, the names of the runs that it
  starts from (the digests of their checkpoints count), and which networks are kept on the way;
- the versions of the packages (`engine.runs.provenance.PACKAGES`);
- our own source: all of `data` and `engine` except the rooms that only read results. An edit of the code makes every
  run a new one;
- code of the user's own that builds the network or learns a task, by its digest (`data.code`);
- the files of a data set on disk, by their digest (`data.fingerprint`, which says what escapes it).

It does not cover the machine: its processor, its libraries, CUDA. A run that kept no networks on the way stands for one
that was asked to keep some; where there are both, the latter is taken.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.engine.runs.provenance import made_with, of_one_state
from winnow.engine.runs.reading import read_object
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.specs.train import TrainSpec

HASHED = 16  # hexadecimal digits


def spec_hash(spec: TrainSpec) -> str:
    """Return the hash of a run that this installation would make of a spec."""
    return document_hash({**spec.model_dump(mode="json"), **made_with(spec)})


def document_hash(document: Mapping[str, Any]) -> str:
    """Return the hash of what a run's spec.json holds."""
    kept = copy.deepcopy(dict(document))
    kept.pop("name", None)
    kept.pop("snapshots", None)
    if not kept.get("target_changes"):
        kept.pop("target_changes", None)  # older runs have no such field
    for part, kind in (("network", "network"), ("data", "dataset")):
        own = kept.get(part) or {}
        if own.get(kind) == "own":
            own.pop("path", None)  # the digest of the user's code counts, not where it lies
    for own in (kept.get("own_tasks") or {}).values():
        own.pop("path", None)
    start = kept.get("start") or {}
    (start.get("file") or {}).pop("path", None)
    for source in [start.get("weights"), *(start.get("supports") or ())]:
        if source:
            source.pop("run", None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:HASHED]


def same_request(run: Run, spec: TrainSpec) -> bool:
    """Return whether a run was asked for by this spec, whatever it was made with."""
    try:
        return document_hash(run.spec.model_dump(mode="json")) == document_hash(spec.model_dump(mode="json"))
    except (OSError, ValueError):
        return False


class KnownRuns:
    """The runs that are done below a root, by their hash: what was trained once is not trained again."""

    def __init__(self, root: Path) -> None:
        self._runs: dict[str, list[Run]] = {}
        for run in list_runs(root):
            try:
                found = document_hash(read_object(run.path / "spec.json"))
            except (OSError, ValueError, AttributeError):
                continue
            self._runs.setdefault(found, []).append(run)

    def done(self, spec: TrainSpec) -> Run | None:
        """Return the newest run of a spec that is done.

        It comes from one state of the code, and its strength and target were not changed while it ran. One that kept
        the networks that the spec asks for is taken before those that did not.
        """
        try:
            candidates = self._runs.get(spec_hash(spec), [])
        except (ValueError, OSError):  # its data or the user's code are not here: nothing can be said to be the same
            return None
        if spec.snapshots:
            candidates = sorted(candidates, key=lambda run: run.document().get("snapshots") != spec.snapshots)
        return next((run for run in candidates if run.recorded_status().state == "done" and _as_asked(run)), None)


def _as_asked(run: Run) -> bool:
    lived, asked = run.replay(), run.spec
    changed = len(lived.strength_changes) + len(lived.target_changes)
    return changed == len(asked.strength_changes) + len(asked.target_changes) and of_one_state(run.path)
