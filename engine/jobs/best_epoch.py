"""The best epoch: the network that a run keeps, and early stopping.

One network for all tasks: the one with the highest mean skill on the validation split (engine.studies.skill), kept in

    weights/best.safetensors   `net.*` weights and buffers; after a removal `stays.*` as in a checkpoint
    weights/best.json          {format_version, step, epoch, skill, bytes, sha256}

Only epochs count after the penalty has reached its strength and its target, so that a sparse run is never represented
by the dense network it was before. The file is written before the epoch's checkpoint: a run that resumes evaluates the
same epochs again and keeps the same network.
"""

import json
from pathlib import Path

from safetensors.torch import load, save

from winnow.data.sample import Field
from winnow.engine.jobs.session import Records
from winnow.engine.runs.digests import digest, verified
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.studies.skill import Figures, judged, skill
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import Checkpoint, apart, network_tensors, put_network
from winnow.engine.training.loop import EpochDone, constant_metrics
from winnow.engine.training.setup import settled_step
from winnow.engine.training.state import Training

MANIFEST = "best.json"


class BestEpoch:
    """Keeps the network of the best epoch of a training, and ends the training when patience has run out."""

    def __init__(self, training: Training, batches: Batches, validation: Batches, folder: Path) -> None:
        self._training, self._manifest = training, folder / MANIFEST
        self._wanted = training.spec.keep == "best" or training.spec.patience > 0
        self._constant: Figures = constant_metrics(training.tasks, batches, validation) if self._wanted else {}
        self._fields: dict[str, Field] = {name: task.field for name, task in training.tasks.items()}
        if self._wanted and not judged(self._constant, self._fields):
            raise ValueError(
                "`keep` must be last, and `patience` 0, where no task has a label in the validation images, got "
                f"keep {training.spec.keep} and patience {training.spec.patience}: no epoch can be called the best."
            )
        self._steps = batches.steps
        self._first_step = settled_step(training.spec, batches.steps)

    def patience_over(self) -> bool:
        """Return whether there were too many epochs without a better one."""
        patience, best = self._training.spec.patience, self.best
        return patience > 0 and best is not None and self._training.step // self._steps - int(best["epoch"]) >= patience

    @property
    def best(self) -> dict[str, float] | None:
        """The best epoch so far: its epoch, step and skill; None before there is one."""
        if not self._manifest.exists():
            return None
        found: dict[str, float] = json.loads(self._manifest.read_text())
        return found

    def watch(self, records: Records) -> Records:
        """Pass the records on, up to the epoch after which patience has run out."""
        if self.patience_over():
            return
        for record in records:
            if isinstance(record, EpochDone):
                self._compare(record)
            yield record
            if isinstance(record, EpochDone) and self.patience_over():
                return

    def put_back(self) -> tuple[int, int]:
        """Load the best network into the training; return its epoch and step.

        Raises:
            ValueError: its file is damaged.

        """
        best, training = self.best, self._training
        if training.spec.keep == "last" or best is None:
            return self.place
        content = verified(self._manifest)
        if content is None:
            raise ValueError(f"`{MANIFEST}` must have the digest of best.safetensors, got another: a file is damaged.")
        put_network(training, Checkpoint(load(content), best))
        training.proximal.norms = [bank.norms() for bank in training.proximal.banks]
        return self.place

    @property
    def place(self) -> tuple[int, int]:
        """The epoch and step of the network that the run stands for: the best one's where that is kept."""
        best, training = self.best, self._training
        if training.spec.keep == "last" or best is None:
            return training.step // self._steps, training.step
        return int(best["epoch"]), int(best["step"])

    def _compare(self, record: EpochDone) -> None:
        """Keep the network of this epoch if it is the best so far."""
        if not self._wanted or record.step <= self._first_step:
            return
        reached = skill(record.metrics, self._constant, self._fields)
        best = self.best
        if best is not None and reached <= best["skill"]:
            return
        tensors = network_tensors(self._training)
        content = save(apart(tensors))
        replace(self._manifest.with_suffix(".safetensors"), content)
        known = {"epoch": record.epoch, "step": record.step, "skill": max(reached, -1e9)}
        replace_json(self._manifest, {"format_version": 1, **known, "bytes": len(content), "sha256": digest(content)})
