"""Weights from a file of the user's: safetensors, or what `torch.save` wrote of tensors, numbers and containers.

Nothing in a file is run: `torch.load` reads with `weights_only=True`. The tensors must be those of the network, by name
and shape; what is missing and what is left over is said by name.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from winnow.engine.runs.digests import digest

INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net")  # where checkpoints keep the weights
WRAPPED = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before names
SOME = 5  # names that a message lists


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
        ValueError: tensors are missing, left over, or of another shape; each kind with the first names.

    """
    own = net.state_dict()
    missing = [name for name in own if name not in found]
    extra = [name for name in found if name not in own]
    if missing or extra:
        raise ValueError(
            f"`weights` must hold the tensors of the network, got {where} without {_listed(missing)} and with "
            f"{_listed(extra)} that it does not have. Rename them, or leave out what is not of the network."
        )
    other = [name for name in own if own[name].shape != found[name].shape]
    if other:
        name = other[0]
        raise ValueError(
            f"`weights` must fit the network, got {tuple(found[name].shape)} instead of {tuple(own[name].shape)} for "
            f"{name} in {where}, and {len(other) - 1} more."
        )
    net.load_state_dict(dict(found))


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
