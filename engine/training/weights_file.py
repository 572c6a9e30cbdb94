"""Weights from a file of the user's: safetensors, or what `torch.save` wrote of tensors, numbers and containers.

Which of them it is, its first bytes say, whatever it is called. Nothing in a file is run: `torch.load` reads with
`weights_only=True`. The tensors must be those of the network, by name and shape; what is missing and what is left over
is said by name.
"""

import io
import warnings
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

INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net")  # parts of a checkpoint within a part
WRAPPED = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before names
AVERAGED = "n_averaged"  # the counter of torch.optim.swa_utils.AveragedModel
SAVED_BY_TORCH = (b"PK\x03\x04", b"\x80")  # a zip archive; before torch 1.6, a pickle
MOST_HEADER = 100_000_000  # bytes, of a file of safetensors: what its format allows
OTHERS = MappingProxyType(
    {
        b"version https://git-lfs": "a pointer of Git LFS to the file. Run git lfs pull",
        b"{": "JSON. An index names the files that hold the tensors: join them into one state_dict, and save that",
        b"<": "a web page or XML. Download the file itself",
        b"\x89HDF": "HDF5, as Keras writes it. Load it there, and save the tensors with safetensors",
        b"GGUF": "GGUF. Give the weights as they were trained, as safetensors",
        b"\x1f\x8b": "compressed by gzip. Unpack it first",
        b"\x93NUMPY": "an array of NumPy. Save the tensors by name with safetensors",
    }
)
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
    found = _tensors(content, path)
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
    found = _completed(own, _without_prefix(own, found))
    _refuse_misfit(own, found, where)
    refuse_numbers(own, found, where)
    net.load_state_dict(dict(found))


def _without_prefix(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Take off what stands before all names, as a LightningModule or an average of weights puts it there."""
    first = next((name for name in own if not name.endswith(COUNTED)), "")
    if first in found:
        return found
    inside = {name: tensor for name, tensor in found.items() if name != AVERAGED}
    prefixes = {name.removesuffix(first) for name in inside if name.endswith(f".{first}")}
    if len(prefixes) != 1 or not all(name.startswith(prefix) for prefix in prefixes for name in inside):
        return found
    return {name.removeprefix(prefix): tensor for prefix in prefixes for name, tensor in inside.items()}


def _completed(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add what a file may leave out: the counters of batch norms, and further names of a shared tensor."""
    first: dict[int, str] = {}
    for name, tensor in own.items():
        if name in found and tensor.numel():
            first.setdefault(tensor.data_ptr(), name)
    added = {name: found[first[t.data_ptr()]] for name, t in own.items() if name not in found and t.data_ptr() in first}
    counters = {name: tensor for name, tensor in own.items() if name.endswith(COUNTED) and name not in found}
    return {**found, **added, **counters}


def refuse_numbers(own: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> None:
    """Raise where the tensors of a file, which fit by name and shape, are not the numbers that a network computes with.

    Raises:
        ValueError: codes of a quantised network, sparse or complex tensors, NaN, or two values of one shared tensor.

    """
    shared: dict[int, str] = {}
    for name, tensor in own.items():
        theirs = found[name]
        if (
            theirs.layout != torch.strided
            or theirs.is_quantized
            or theirs.is_floating_point() != tensor.is_floating_point()
        ):
            kind = "quantised" if theirs.is_quantized else str(theirs.layout if theirs.is_sparse else theirs.dtype)
            raise ValueError(
                f"`weights` must hold plain {str(tensor.dtype).removeprefix('torch.')} or half-precision numbers, got "
                f"{kind.removeprefix('torch.')} for {name} in {where}. Give the weights as they were trained."
            )
        if theirs.is_floating_point() and not bool(theirs.isfinite().all()):
            raise ValueError(f"`weights` must hold finite numbers, got NaN or infinity for {name} in {where}.")
        other = shared.setdefault(tensor.data_ptr(), name) if tensor.numel() else name
        if not torch.equal(found[other], theirs):
            raise ValueError(
                f"`weights` must hold one value for {other} and {name}, which the network shares, got two in {where}."
            )


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
        refuse_numbers(wanted, tensors, where)
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


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """Read a file as what it is by its first bytes, whatever its name ends with."""
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= MOST_HEADER:
        return _safetensors(content, path)
    if content.startswith(SAVED_BY_TORCH):
        return _saved(content, path)
    other = next((why for start, why in OTHERS.items() if content.lstrip()[: len(start)] == start), "another format")
    raise ValueError(
        f"`weights` must be a file of safetensors or what torch.save writes, got {path}, which is "
        f"{other if content else 'empty'}."
    )


def _safetensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"`weights` must be a file of safetensors, got {path}: {error}.") from error
    return found


def _saved(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions warn of sparse tensors, which are refused by name below
            found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        if "TorchScript" in str(error):
            raise ValueError(
                f"`weights` must hold tensors alone, got {path}, a TorchScript archive. Save torch.jit.load(file)."
                "state_dict() with torch.save."
            ) from error
        raise ValueError(
            f"`weights` must hold tensors alone, as torch.save(net.state_dict(), file) writes them, got {path}, which "
            "holds other objects or is damaged. Save its state_dict, or use safetensors."
        ) from error
    while isinstance(found, Mapping) and (inside := [name for name, own in found.items() if _is_state(own)]):
        if len(inside) > 1:
            several = ", ".join(map(str, inside))
            raise ValueError(
                f"`weights` must hold one state_dict, got {several} in {path}. Save the one that you mean."
            )
        found = found[inside[0]]
    if not _is_state(found):
        held = f"with the entries {', '.join(map(str, found))[:200]}" if isinstance(found, Mapping) else ""
        raise ValueError(f"`weights` must hold a state_dict, got {type(found).__name__} {held} in {path}. Save that.")
    return {str(name): tensor for name, tensor in found.items()}


def _is_state(found: Any) -> bool:
    """Whether this is a state_dict, or the part of a checkpoint that holds one."""
    if not isinstance(found, Mapping) or not found:
        return False
    return all(isinstance(own, Tensor) for own in found.values()) or any(map(_is_state, map(found.get, INSIDE)))
