"""Everything that a run needs to go on, in safetensors and JSON: no pickle is ever written or read.

    weights/00001234.safetensors   `net.*` weights and buffers, `optimizer.<index>.<name>` moments, `random.*` states,
                                   per bank of groups `norms.<index>`, `drift.<index>`, how they move, and
                                   `support.<index>`, which groups may live once the support is frozen, and
                                   `shrunk.<index>`, how they move with a λ that is learned, and `mean.<name>`, the mean
                                   weights that it is learned at; after a removal
                                   `stays.<axis>.<tensor>`, the entries of the dense network's tensor that are left
    weights/00001234.json          the manifest, which makes the checkpoint exist: {format_version, step, epoch,
                                   strength, base (of the strength's controller), target [%] where there is one,
                                   removal (the step of the last one that was due), bytes, sha256, of a strength that is
                                   learned `learned`: what its controller remembers, and of a run `logs`: how long its
                                   logs were, and the losses not yet in them (engine.runs.log_marks)}
    weights/before/00001234.*      the same, as it was before the removal at that step
    weights/network.json           what builds the dense network: network, tasks, channels

Neither safetensors nor torch notices a flipped bit, so the manifest carries a digest, and the loader takes the newest
checkpoint that verifies. The two newest are kept, and those before the two newest removals. Zeros that were removed
are not stored: `load_checkpoint` makes the network smaller first, `Checkpoint.dense` puts the zeros back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.engine.graph.partition import Labels
from winnow.engine.pruning.kept import dense_state, left_of, widened
from winnow.engine.runs.digests import BEFORE, digest, manifests, verified
from winnow.engine.runs.files import replace, replace_json
from winnow.engine.runs.reading import read_object
from winnow.engine.sparsity.learned import Learned
from winnow.engine.sparsity.strength import Targeted
from winnow.engine.training.averaging import WeightMeans
from winnow.engine.training.removal import follow, regrow
from winnow.engine.training.state import Training

KEPT = 2
FORMAT_VERSION = 1


def save_checkpoint(
    folder: Path, training: Training, epoch: int, logs: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Store the training as it stands, and what its manifest says of `logs`; older ones but the last are removed."""
    folder.mkdir(exist_ok=True)
    stem, control = f"{training.step:08d}", training.controller
    content = save(_tensors(training))
    replace(folder / f"{stem}.safetensors", content)
    manifest = {
        "format_version": FORMAT_VERSION,
        "step": training.step,
        "epoch": epoch,
        "strength": training.proximal.strength,
        "base": control.base,
        **({"target": control.percent} if isinstance(control, Targeted) else {}),
        "removal": training.removal,
        "bytes": len(content),
        "sha256": digest(content),
        **({"learned": control.state()} if isinstance(control, Learned) else {}),
        **({"logs": dict(logs)} if logs else {}),
    }
    replace_json(folder / f"{stem}.json", manifest)
    _drop_old(folder)


def keep_before_removal(folder: Path, step: int) -> None:
    """Keep the checkpoint of this step as the one before a removal, whatever becomes of it among the others."""
    kept = folder / BEFORE
    kept.mkdir(exist_ok=True)
    for ending in ("safetensors", "json"):
        replace(kept / f"{step:08d}.{ending}", (folder / f"{step:08d}.{ending}").read_bytes())
    _drop_old(kept)


def _drop_old(folder: Path) -> None:
    for old in manifests(folder)[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)
    for tensors in folder.glob("*.safetensors"):
        if tensors.stem.isdigit() and not tensors.with_suffix(".json").exists():
            tensors.unlink()  # of a process that was killed before it wrote the manifest, or after it removed it


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint by the names above, and its manifest."""

    tensors: dict[str, Tensor]
    manifest: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with `prefix` and a dot, by what follows it."""
        return {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }

    def stays(self) -> dict[str, dict[int, Labels]]:
        """Return which entries of the dense network's tensors are left, {tensor: {axis: entries}}."""
        found: dict[str, dict[int, Labels]] = {}
        for name, entries in self.part("stays").items():
            axis, tensor = name.split(".", 1)
            found.setdefault(tensor, {})[int(axis)] = entries.numpy().astype(np.int64)
        return found

    def dense(self, net: nn.Module) -> dict[str, Tensor]:
        """Return the state of the dense network, shaped as `net`: zero where something was removed."""
        return dense_state(self.part("net"), self.stays(), net.state_dict())

    def dense_moments(self, net: nn.Module, order: Sequence[str] | None = None) -> dict[int, dict[str, Tensor]]:
        """Return the optimiser's state for the dense network, shaped as `net`: zero where something was removed.

        By the numbers of the parameters in `net`. `order` names the parameters as the optimiser numbered them, where
        that is another order.
        """
        state, stays, found = self.moments(), self.stays(), {}
        numbers = {name: number for number, name in enumerate(order)} if order is not None else {}
        for index, (name, parameter) in enumerate(net.named_parameters()):
            number = numbers.get(name, -1) if order is not None else index
            if number in state:
                found[index] = {
                    quantity: widened(tensor, parameter.shape, stays.get(name, {})) if tensor.dim() else tensor
                    for quantity, tensor in state[number].items()
                }
        return found

    def moments(self) -> dict[int, dict[str, Tensor]]:
        """Return the state of the optimiser, by the number of the parameter and the name of the quantity."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.part("optimizer").items():
            index, quantity = name.split(".", 1)
            state.setdefault(int(index), {})[quantity] = tensor
        return state


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that verifies, if there is one, and the names of those skipped as damaged.

    Raises:
        ValueError: a checkpoint of another format version.

    """
    skipped: list[str] = []
    for manifest in reversed(manifests(folder)):
        if (found := _read(manifest)) is not None:
            return found, skipped
        skipped.append(manifest.stem)
    return None, skipped


def _read(manifest: Path) -> Checkpoint | None:
    """Return a checkpoint, None where it is damaged."""
    content = verified(manifest)
    if content is None:
        return None
    known = read_object(manifest)
    if known.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"`format_version` of the checkpoint {manifest.stem} must be {FORMAT_VERSION}, got "
            f"{known.get('format_version')!r:.20}. Use the version of Winnow that wrote it."
        )
    try:
        return Checkpoint(load(content), known)
    except SafetensorError:  # a digest that agrees with bytes that are no tensors
        return None


def load_checkpoint(folder: Path, training: Training) -> list[str]:
    """Put the newest checkpoint that verifies into `training`; return the names of those skipped as damaged.

    With no checkpoint, `training` stays as it is; it must be one that has just begun, on the dense network.
    """
    found, skipped = newest_checkpoint(folder)
    if found is not None:
        _restore(training, found)
    return skipped


def network_tensors(training: Training) -> dict[str, Tensor]:
    """Return the network as it stands, `net.<name>`, and `stays.<axis>.<name>` where something was removed."""
    tensors = {f"net.{name}": tensor for name, tensor in training.net.state_dict().items()}
    for name, axes in training.stays.items():
        tensors |= {f"stays.{axis}.{name}": torch.from_numpy(entries) for axis, entries in axes.items()}
    return tensors


def moment_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state, `optimizer.<index>.<name>`; `Checkpoint.moments` reads it."""
    return {
        f"optimizer.{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def put_network(training: Training, found: Checkpoint) -> None:
    """Give the training the network of a checkpoint, of the size that it has there."""
    stays = found.stays()
    regrow(training)
    if stays:
        follow(training, left_of(training.net, stays))
    training.net.load_state_dict(found.part("net"))


def _tensors(training: Training) -> dict[str, Tensor]:
    tensors = network_tensors(training)
    tensors |= moment_tensors(training.proximal.optimizer)
    tensors |= {f"balancer.{name}": tensor for name, tensor in training.balancer.state_dict().items()}
    tensors |= {f"norms.{index:05d}": norms for index, norms in enumerate(training.proximal.norms)}
    tensors |= {f"drift.{index:05d}": drift for index, drift in enumerate(training.proximal.drift)}
    for index, alive in enumerate(training.proximal.support or ()):
        tensors[f"support.{index:05d}"] = alive.to(torch.uint8)
    if training.proximal.trace is not None:
        tensors |= {f"shrunk.{index:05d}": shrunk for index, shrunk in training.proximal.trace.shrunk.items()}
        tensors |= {f"mean.{name}": mean for name, mean in (training.means.values.items() if training.means else ())}
    tensors["random.cpu"] = torch.get_rng_state()
    if training.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(training.device)
    return apart(tensors)


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors for one file, each in memory of its own: two names of a shared weight give two copies."""
    found = {name: own_tensor(tensor) for name, tensor in tensors.items()}
    first: dict[int, str] = {}
    for name, tensor in found.items():
        if tensor.numel() and first.setdefault(tensor.data_ptr(), name) != name:
            found[name] = tensor.clone()
    return found


def own_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU that is no part of another one: a file holds none that share their memory."""
    plain = tensor.detach().cpu().contiguous()
    return plain if plain.untyped_storage().nbytes() == plain.nbytes else plain.clone()


def _restore(training: Training, found: Checkpoint) -> None:
    tensors, manifest = found.tensors, found.manifest
    put_network(training, found)
    training.balancer.load_state_dict(found.part("balancer"))
    described = training.proximal.optimizer.state_dict()
    known = {
        name: [tensor.to(training.device) for _, tensor in sorted(found.part(name).items())]
        for name in ("norms", "drift", "support")
    }
    training.proximal.load_state_dict(
        {
            **described,
            "state": found.moments(),
            "proximal": {
                "strength": float(manifest["strength"]),
                "support": [alive.bool() for alive in known["support"]] or None,
                "norms": known["norms"],
                "drift": known["drift"] or training.proximal.drift,
            },
        }
    )
    training.controller.base = float(manifest["base"])
    if isinstance(training.controller, Learned) and "learned" in manifest:
        training.controller.restore(manifest["learned"])
    if isinstance(training.controller, Targeted):
        training.controller.percent = float(manifest.get("target", training.controller.percent))
    if training.proximal.trace is not None:
        shrunk = {int(index): tensor.to(training.device) for index, tensor in found.part("shrunk").items()}
        training.proximal.trace.shrunk = shrunk
        if isinstance(training.controller, Learned):
            training.means = WeightMeans(training.controller.horizon)
            training.means.values = {name: own.to(training.device) for name, own in found.part("mean").items()}
    training.step, training.removal = int(manifest["step"]), int(manifest.get("removal", 0))
    torch.set_rng_state(tensors["random.cpu"])
    if training.stream is not None:
        training.stream = torch.initial_seed()
    if training.device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], training.device)
