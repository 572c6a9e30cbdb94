"""What a run is, as one number: two runs of one hash end with the same bits on one machine.

The hash is that of the spec's JSON with sorted keys, and of the package versions, but for what does not decide the
result: the run's name, the names of the runs it starts from (the digests of their checkpoints stay), and which networks
are kept on the way. So a run that kept none stands for one that should have; where there are both, the latter is taken.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.work_folder import versions
from winnow.engine.specs.train import TrainSpec

HASHED = 16  # hexadecimal digits


def spec_hash(spec: TrainSpec) -> str:
    """Return the hash of a run that this installation would make of a spec."""
    return document_hash({**spec.model_dump(mode="json"), "packages": versions()})


def document_hash(document: Mapping[str, Any]) -> str:
    """Return the hash of what a run's spec.json holds."""
    kept = copy.deepcopy(dict(document))
    kept.pop("name", None)
    kept.pop("snapshots", None)
    start = kept.get("start") or {}
    for source in [start.get("weights"), *(start.get("supports") or ())]:
        if source:
            source.pop("run", None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:HASHED]


class Known:
    """The runs that are done below a root, by their hash: what was trained once is not trained again."""

    def __init__(self, root: Path) -> None:
        self._runs: dict[str, list[Run]] = {}
        for run in list_runs(root):
            try:
                found = document_hash(json.loads((run.path / "spec.json").read_bytes()))
            except (OSError, ValueError, AttributeError):
                continue
            self._runs.setdefault(found, []).append(run)

    def done(self, spec: TrainSpec) -> Run | None:
        """Return the newest run of a spec that is done and whose strength nobody changed while it ran.

        One that kept the networks that the spec asks for comes before those that did not.
        """
        candidates = self._runs.get(spec_hash(spec), [])
        if spec.snapshots:
            candidates = sorted(candidates, key=lambda run: run.document().get("snapshots") != spec.snapshots)
        return next((run for run in candidates if run.recorded_status().state == "done" and not _changed(run)), None)


def _changed(run: Run) -> bool:
    return len(run.replay().strength_changes) > len(run.spec.strength_changes)
