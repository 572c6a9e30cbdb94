"""Everything that a run needs to go on, in safetensors and JSON: no pickle is ever written or read.

    weights/00001234.safetensors   `net.*` weights and buffers, `optimizer.<index>.<name>` moments, `random.*` states,
                                   per bank of groups `drift.<index>`, how its norms move, and `support.<index>`, which
                                   groups may live once the support is frozen
    weights/00001234.json          the manifest, which makes the checkpoint exist: {format_version, step, epoch,
                                   strength, base (of the strength's controller), bytes, sha256}
    weights/network.json           what builds the network: network, tasks, channels

Neither safetensors nor torch notices a flipped bit, so the manifest carries a digest, and the loader takes the newest
checkpoint that verifies. The two newest are kept.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from engine.files import replace, replace_json
from engine.manifests import digest, manifests, verified
from engine.training import Training

KEPT = 2


def save_checkpoint(folder: Path, training: Training, epoch: int) -> None:
    """Store the training as it stands; older checkpoints but the last one are removed."""
    folder.mkdir(exist_ok=True)
    stem = f"{training.step:08d}"
    content = save(_tensors(training))
    replace(folder / f"{stem}.safetensors", content)
    manifest = {
        "format_version": 1,
        "step": training.step,
        "epoch": epoch,
        "strength": training.proximal.strength,
        "base": training.controller.base,
        "bytes": len(content),
        "sha256": digest(content),
    }
    replace_json(folder / f"{stem}.json", manifest)
    for old in manifests(folder)[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by the names above, and its manifest."""

    tensors: dict[str, Tensor]
    manifest: dict[str, float]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with `prefix` and a dot, by what follows it."""
        return {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }

    def moments(self) -> dict[int, dict[str, Tensor]]:
        """Return the state of the optimiser, by the number of the parameter and the name of the quantity."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.part("optimizer").items():
            index, quantity = name.split(".", 1)
            state.setdefault(int(index), {})[quantity] = tensor
        return state


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that verifies, if there is one, and the names of those skipped as damaged."""
    skipped: list[str] = []
    for manifest in reversed(manifests(folder)):
        content = verified(manifest)
        if content is not None:
            return Checkpoint(load(content), json.loads(manifest.read_text())), skipped
        skipped.append(manifest.stem)
    return None, skipped


def load_checkpoint(folder: Path, training: Training) -> list[str]:
    """Put the newest checkpoint that verifies into `training`; return the names of those skipped as damaged.

    With no checkpoint, `training` stays as it is.
    """
    found, skipped = newest_checkpoint(folder)
    if found is not None:
        _restore(training, found)
    return skipped


def _tensors(training: Training) -> dict[str, Tensor]:
    tensors = {f"net.{name}": tensor for name, tensor in training.net.state_dict().items()}
    for index, state in training.proximal.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    tensors |= {f"balancer.{name}": tensor for name, tensor in training.balancer.state_dict().items()}
    tensors |= {f"drift.{index:05d}": drift for index, drift in enumerate(training.proximal.drift)}
    for index, alive in enumerate(training.proximal.support or ()):
        tensors[f"support.{index:05d}"] = alive.to(torch.uint8)
    tensors["random.cpu"] = torch.get_rng_state()
    if training.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(training.device)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _restore(training: Training, found: Checkpoint) -> None:
    tensors, manifest = found.tensors, found.manifest
    training.net.load_state_dict(found.part("net"))
    training.balancer.load_state_dict(found.part("balancer"))
    described = training.proximal.optimizer.state_dict()
    support = [tensors[name].bool() for name in sorted(tensors) if name.startswith("support.")]
    drift = [tensors[name].to(training.device) for name in sorted(tensors) if name.startswith("drift.")]
    training.proximal.load_state_dict(
        {
            "optimizer": {**described, "state": found.moments()},
            "strength": float(manifest["strength"]),
            "support": support or None,
            **({"drift": drift} if drift else {}),
        }
    )
    training.controller.base = float(manifest["base"])
    training.step = int(manifest["step"])
    torch.set_rng_state(tensors["random.cpu"])
    if training.device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], training.device)
