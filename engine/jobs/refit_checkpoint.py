"""Where the refit of a pruning is after each epoch, so that one that was killed or stopped goes on from there.

    refit/state.safetensors   `net.*`, `optimizer.<index>.<name>`, `random.cpu`
    refit/state.json          {format_version, begun (digest of the network before the refit), epochs: [{epoch, step,
                              metrics} of each so far], bytes, sha256}

All before the refit is done again, with the same result: `begun` says that it is the same. The folder is removed when
the refit has ended.
"""

import math
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.engine.runs.digests import digest, verified
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.reading import read_object
from winnow.engine.training.checkpoint import Checkpoint, moment_tensors, own_tensor
from winnow.engine.training.loop import EpochDone

FOLDER = "refit"


class RefitCheckpoint:
    """Stores and finds the state of the refit of one network."""

    def __init__(self, folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
        self._manifest = folder / FOLDER / "state.json"
        self._model, self._optimizer = model, optimizer
        self._begun = digest(save(self._network()))
        self._epochs: list[dict[str, Any]] = []

    def resume(self) -> list[EpochDone]:
        """Put the stored state into network and optimiser; return the epochs that it has, none where there is none."""
        content = verified(self._manifest)
        if content is None or (known := read_object(self._manifest)).get("begun") != self._begun:
            return []
        self._put(Checkpoint(load(content), known))
        self._epochs = list(known["epochs"])
        return [EpochDone(own["epoch"], own["step"], _metrics(own["metrics"], math.nan)) for own in self._epochs]

    def save(self, record: EpochDone) -> None:
        """Store the state after an epoch."""
        self._epochs.append({"epoch": record.epoch, "step": record.step, "metrics": _metrics(record.metrics, None)})
        self._manifest.parent.mkdir(exist_ok=True)
        moments = {name: own_tensor(tensor) for name, tensor in moment_tensors(self._optimizer).items()}
        content = save({**self._network(), **moments, "random.cpu": torch.get_rng_state()})
        replace(self._manifest.with_suffix(".safetensors"), content)
        known = {"format_version": 1, "begun": self._begun, "epochs": self._epochs}
        replace_json(self._manifest, {**known, "bytes": len(content), "sha256": digest(content)})

    def remove(self) -> None:
        """Remove what is stored."""
        shutil.rmtree(self._manifest.parent, ignore_errors=True)

    def _network(self) -> dict[str, Tensor]:
        return {f"net.{name}": own.detach().cpu().clone() for name, own in self._model.state_dict().items()}

    def _put(self, found: Checkpoint) -> None:
        self._model.load_state_dict(found.part("net"))
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": found.moments()})
        torch.set_rng_state(found.tensors["random.cpu"])


def _metrics(metrics: dict[str, dict[str, Any]], missing: float | None) -> dict[str, dict[str, Any]]:
    """Return metrics with `missing` for what is not finite: JSON has no such numbers."""
    return {
        task: {name: value if value is not None and math.isfinite(value) else missing for name, value in own.items()}
        for task, own in metrics.items()
    }
