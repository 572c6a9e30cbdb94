"""Weights from a file of the user's: safetensors, or what `torch.save` wrote of tensors, numbers and containers.

Nothing in a file is run: `torch.load` reads with `weights_only=True`. The tensors must be those of the network, by name
and shape; what is missing and what is left over is said by name.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from winnow.engine.runs.digests import digest
from winnow.engine.specs.trunk import NetworkSpec

INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net")  # where checkpoints keep the weights
WRAPPED = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before names
SOME = 5  # names that a message lists
COUNTED = "num_batches_tracked"  # of batch norms; old files lack it, and nothing here reads it


def read_weights(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        ValueError: it is not there, has another digest than `sha256`, or holds no state_dict.

    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"`weights` must be a file, got {path}: {error.strerror}.") from error
    if sha256 is not None and digest(content) != sha256:
        raise ValueError(f"`weights` must be the file that the run was created with, got other bytes in {path}.")
    found = _safetensors(content, path) if path.suffix == ".safetensors" else _saved(content, path)
    for prefix in WRAPPED:
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def put_weights(net: nn.Module, found: Mapping[str, Tensor], where: str) -> None:
    """Give a network these weights and buffers, all of them.

    Raises:
        ValueError: tensors are missing, left over, or of another shape; how many of each, with the first names.

    """
    own = net.state_dict()
    _refuse_misfit(own, found, where)
    net.load_state_dict(dict(found))


def put_trunk(net: nn.Module, spec: NetworkSpec, found: Mapping[str, Tensor], where: str) -> None:
    """Give a network of ours the weights of a file: all of them, or those of its trunk under names of other libraries.

    Of the latter a classifier is left out, the heads keep their first weights, and where each task has a trunk, all
    get the same.

    Raises:
        ValueError: tensors of the trunk are missing, left over, or of another shape; how many of each.

    """
    own = net.state_dict()
    theirs = {} if spec.foreign_names is None or own.keys() == found.keys() else spec.foreign_names.load()(found)
    if not theirs:
        put_weights(net, found, where)
        return
    tensors = {ours: found[name] for name, ours in theirs.items()}
    for trunk in _trunks(net):
        wanted = trunk.state_dict()
        tensors |= {name: own for name, own in wanted.items() if name.endswith(COUNTED) and name not in tensors}
        _refuse_misfit(wanted, tensors, where, {ours: name for name, ours in theirs.items()})
        trunk.load_state_dict(tensors)


def _trunks(net: nn.Module) -> list[nn.Module]:
    towers = getattr(net, "towers", None)
    return [net.get_submodule("trunk")] if towers is None else list(towers.children())


def _refuse_misfit(
    own: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str, theirs: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Raise where tensors differ by name or shape; `theirs` says what the file calls a tensor."""
    missing = [name for name in own if name not in found]
    extra = [theirs.get(name, name) for name in found if name not in own]
    other = [name for name in own if name in found and own[name].shape != found[name].shape]
    if not (missing or extra or other):
        return
    shapes = [f"{theirs.get(name, name)} {tuple(found[name].shape)} for {tuple(own[name].shape)}" for name in other]
    raise ValueError(
        f"`weights` must fit the network tensor by tensor, got {where} with {len(missing)} missing "
        f"({_listed(missing)}), {len(extra)} unexpected ({_listed(extra)}) and {len(other)} of another shape "
        f"({_listed(shapes)}). Choose the network that the file belongs to, or rename its tensors."
    )


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:SOME]) + (f" and {len(names) - SOME} more" if len(names) > SOME else "")


def _safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"`weights` must be a file of safetensors, got {path}: {error}.") from error
    return found


def _saved(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"`weights` must hold tensors alone, as torch.save(net.state_dict(), file) writes them, got {path}, which "
            "holds other objects or is damaged. Save its state_dict, or use safetensors."
        ) from error
    while isinstance(found, Mapping) and (inner := next((name for name in INSIDE if name in found), None)):
        if not isinstance(found[inner], Mapping):
            break
        found = found[inner]
    if not isinstance(found, Mapping) or not found or not all(isinstance(own, Tensor) for own in found.values()):
        raise ValueError(f"`weights` must hold a state_dict, got {type(found).__name__} in {path}. Save that.")
    return {str(name): tensor for name, tensor in found.items()}
