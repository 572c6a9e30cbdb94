"""The tensors of a model as files hold them: each once, under its first name; other names of it are said beside.

Buffers that a `state_dict` leaves out are there too: a file must rebuild the model whole.
"""

from collections.abc import Iterator

import torch
from safetensors.torch import save
from torch import Tensor, nn


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter and buffer by every name that it has."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def stored_tensors(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors by their first names, and the first name of each further one ({further: first})."""
    first: dict[int, str] = {}
    tensors: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    for name, tensor in named_tensors(model):
        if id(tensor) in first:
            tied[name] = first[id(tensor)]
        else:
            first[id(tensor)], tensors[name] = name, tensor.detach()
    return tensors, tied


def serialised(tensors: dict[str, Tensor]) -> bytes:
    """Return tensors in the safetensors format."""
    return save({name: _plain(tensor) for name, tensor in tensors.items()})


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU that shares its memory with no other: safetensors refuses those that do."""
    plain = tensor.cpu().contiguous()
    whole = plain.untyped_storage().nbytes() == plain.numel() * plain.element_size()
    return plain if whole else plain.clone(memory_format=torch.contiguous_format)
