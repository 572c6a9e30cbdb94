"""Which carrier a tensor is: by its identity, its name in the model, or the memory that it shares with a known one.

Parameters that share memory under two identities are refused.
"""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.preserving import is_lazy, pointer
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable

TRANSFORMED = ("a tensor of torch.func, as in vmap", "write the batch as a dimension, or keep it out of the model")

_Span = tuple[str, int, int, Tensor]  # the device, where a tensor begins and ends in its memory, and the tensor


class TensorTable:
    """What is known of tensors, by identity; none is kept alive, and one that is gone is not taken for another."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Any, Any]] = {}

    def get(self, tensor: Tensor) -> Any:
        """Return what is known of a tensor, None if nothing is."""
        entry = self._entries.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None

    def __setitem__(self, tensor: Tensor, value: Any) -> None:
        self._entries[id(tensor)] = (weakref.ref(tensor), value)

    def __getitem__(self, tensor: Tensor) -> Any:
        return self.get(tensor)

    def __contains__(self, tensor: Tensor) -> bool:
        return self.get(tensor) is not None


class Memory:
    """The tensors of one pass that are known; none is kept alive."""

    def __init__(self, recording: Recording) -> None:
        self.used: set[str] = set()
        self._recording = recording
        self._known = TensorTable()
        self._owners: dict[int, Any] = {}

    def known(self, tensor: Tensor) -> Carrier | None:
        """Return the carrier of a tensor that the pass made, or that an input is."""
        found: Carrier | None = self._known.get(tensor)
        return found

    def remember(self, tensor: Tensor, carrier: Carrier) -> Carrier:
        """Enter a tensor that the pass made."""
        self._known[tensor] = carrier
        self._owners[pointer(tensor)] = weakref.ref(tensor)
        return carrier

    def weight(self, tensor: Tensor) -> bool:
        """Whether a tensor is a parameter or buffer as it stands in the model."""
        name = self._recording.name(tensor) if tensor not in self._known else None
        if name is not None:
            self.used.add(name)
        return name is not None

    def carrier(self, tensor: Tensor, path: str, node: str) -> Carrier:
        """Return the carrier of any tensor; one that comes from nowhere is a constant.

        Raises:
            NotTraceable: it stands for several tensors of torch.func.

        """
        found = self.known(tensor)
        if found is not None:
            return found
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            raise NotTraceable(path, *TRANSFORMED)
        name = self._recording.name(tensor)
        if name is not None:
            self.used.add(name)
            return self._recording.named(node, name, tensor)
        owner = self._owners.get(pointer(tensor), _nothing)() if tensor.numel() else None
        if owner is not None and owner in self._known:
            return self._alias(tensor, owner, path)
        self.used |= self._recording.shares(tensor)
        return self._recording.fixed(node, tensor)

    def _alias(self, tensor: Tensor, owner: Tensor, path: str) -> Carrier:
        """Return the carrier of memory that is known by another tensor."""
        known: Carrier = self._known[owner]
        if tensor.shape == owner.shape and tensor.stride() == owner.stride() and tensor.dtype == owner.dtype:
            return self.remember(tensor, known)
        operation = Operation(path, known.node, "memory", _nothing, None, (owner,), {}, (known,), {}, tensor)
        return self.remember(tensor, self._recording.pinned(operation, "is seen through a tensor of its memory"))


def refuse_shared(model: nn.Module) -> None:
    """Raise where two parameters, or a parameter and a buffer, are views of one memory.

    One of them cannot be made smaller, trained or counted without the other, and nothing in the model says that they
    belong together. One parameter with two names is another matter, and taken.

    Raises:
        ValueError: two do, or a parameter lies over itself.

    """
    named: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        named.setdefault(id(tensor), (name, tensor))
    clash = sharing([tensor for _, tensor in named.values()])
    if clash is None:
        return
    (first, _), (other, _) = (named[id(tensor)] for tensor in clash)
    if first == other:
        raise ValueError(
            f"`model` must hold parameters whose entries are apart, got `{first}`, an expanded view. Clone it first."
        )
    raise ValueError(
        f"`model` must hold each weight once, got `{first}` and `{other}` in the same memory. Make them one parameter "
        f"(model.{other} = model.{first}), or clone one of them."
    )


def sharing(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
    """Return two tensors, one of them a parameter, with an entry in common; twice the same if it lies over itself."""
    spans = sorted((span for tensor in tensors if (span := _span(tensor)) is not None), key=lambda span: span[:3])
    last: list[_Span] = []
    for device, begin, end, tensor in spans:
        if isinstance(tensor, nn.Parameter) and torch._debug_has_internal_overlap(tensor) == 1:
            return tensor, tensor
        last = [span for span in last if span[0] == device and span[2] > begin]
        for *_, other in last:
            own = isinstance(tensor, nn.Parameter) or isinstance(other, nn.Parameter)
            if own and len(np.intersect1d(_places(tensor), _places(other))):
                return (other, tensor) if isinstance(other, nn.Parameter) else (tensor, other)
        last.append((device, begin, end, tensor))
    return None


def _span(tensor: Tensor) -> _Span | None:
    """Return where a tensor begins and ends in memory, None if it has none of its own."""
    if is_lazy(tensor) or tensor.layout != torch.strided or not tensor.numel() or not (begin := pointer(tensor)):
        return None
    begin += int(tensor.storage_offset()) * tensor.element_size()
    last = sum((length - 1) * stride for length, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return str(tensor.device), begin, begin + (last + 1) * tensor.element_size(), tensor


def _places(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return the addresses of a tensor's entries, in order."""
    found = np.array([tensor.storage_offset()])
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        found = (found[:, None] + np.arange(length) * stride).ravel()
    return pointer(tensor) + found * tensor.element_size()


def _nothing() -> None:
    return None
