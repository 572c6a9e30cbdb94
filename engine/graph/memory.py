"""Which carrier a tensor is: by its identity, its name in the model, or the memory that it shares with a known one."""

import weakref
from typing import Any

import torch
from torch import Tensor

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.preserving import pointer
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable

TRANSFORMED = ("a tensor of torch.func, as in vmap", "write the batch as a dimension, or keep it out of the model")


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


def _nothing() -> None:
    return None
