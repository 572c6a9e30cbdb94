"""A model that runs and is afterwards what it was: attributes, containers, buffers, submodules, hooks, modes, weights.

What a forward pass stores (an auxiliary loss, features, a cache, a counter) is taken back: the attributes of all
modules, and the contents of all lists, dicts, sets and plain objects that they hold. Buffers and other tensors are
copied before; parameters are copied when an operation is about to write into one.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedTensorMixin

from winnow.engine.graph.containers import CLOSED
from winnow.engine.graph.refusal import NotTraceable

LARGEST = 2**20  # elements of a tensor that is copied before, rather than when it is written to
MOST = 100_000  # objects that a model may hold, after which nothing more is looked into
WRITTEN = "a parameter that the forward pass changes where it cannot be undone"


class Preserved:
    """The state of a model at one time."""

    def __init__(self, model: nn.Module) -> None:
        self._undo: list[Callable[[], None]] = []
        self._seen: dict[int, Any] = {}
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}
        self._watched: dict[int, _Watched] = {}
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        for module in model.modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    self._watch(parameter, names[id(parameter)])
            self._keep(module)
        self._pointers = {pointer(held.tensor): held.tensor for held in self._watched.values()}

    def about_to_write(self, tensor: Tensor) -> None:
        """Copy what a tensor is, or shares its memory with."""
        held = self._pointers.get(pointer(tensor))
        if held is not None and id(held) not in self._copies:
            self._copies[id(held)] = (held, held.detach().clone())

    def restore(self) -> None:
        """Put everything back.

        Raises:
            NotTraceable: a parameter was changed by something that was not seen.

        """
        for undo in self._undo:
            undo()
        lost = [held.name for key, held in self._watched.items() if held.changed() and key not in self._copies]
        with torch.no_grad():
            for held in self._watched.values():
                if pointer(held.tensor) != pointer(held.data):
                    held.tensor.data = held.data
            for tensor, before in self._copies.values():
                if tensor.shape != before.shape:
                    tensor.data = before
                elif not torch.equal(tensor, before):
                    tensor.data.copy_(before)
        if lost:
            raise NotTraceable("", f"{WRITTEN}, `{lost[0]}`", "change parameters outside of the forward pass")

    def _watch(self, tensor: Tensor, name: str) -> None:
        if id(tensor) not in self._watched and not is_lazy(tensor):
            self._watched[id(tensor)] = _Watched(name, tensor, tensor.data, _version(tensor))

    def _keep(self, value: Any) -> None:
        if id(value) in self._seen or len(self._seen) > MOST:
            return
        self._seen[id(value)] = value
        if isinstance(value, Tensor):
            if value.numel() > LARGEST:
                self._watch(value, "a tensor that the model holds")
            elif id(value) not in self._watched and not is_lazy(value):
                self._copies[id(value)] = (value, value.detach().clone())
        elif isinstance(value, dict):
            self._keep_contents(value, dict(value), lambda held, before: (held.clear(), held.update(before)))
        elif isinstance(value, list):
            self._keep_contents(value, list(value), lambda held, before: held.__setitem__(slice(None), before))
        elif isinstance(value, set | deque):
            before = list(value)
            add = value.update if isinstance(value, set) else value.extend
            self._undo.append(lambda: (value.clear(), add(before)) and None)
        elif isinstance(value, tuple | frozenset):
            for part in value:
                self._keep(part)
        elif isinstance(value, nn.Module) or not isinstance(value, CLOSED):
            attributes = getattr(value, "__dict__", None)
            if isinstance(attributes, dict):
                self._keep(attributes)

    def _keep_contents(self, value: Any, before: Any, put: Callable[[Any, Any], Any]) -> None:
        def undo() -> None:
            now = value
            if len(now) != len(before) or not _identical(now, before):
                put(now, before)

        self._undo.append(undo)
        for part in before.values() if isinstance(before, dict) else before:
            if not isinstance(part, str | int | float | bool | None):
                self._keep(part)


def _identical(now: Any, before: Any) -> bool:
    if isinstance(before, dict):
        pairs = zip(now.items(), before.items(), strict=True)
        return all(key is other or key == other for (key, _), (other, _) in pairs) and all(
            one is other for one, other in zip(now.values(), before.values(), strict=True)
        )
    return all(one is other for one, other in zip(now, before, strict=True))


@dataclass(frozen=True, eq=False)
class _Watched:
    """A tensor that is copied only when it is about to change."""

    name: str
    tensor: Tensor
    data: Tensor
    version: int

    def changed(self) -> bool:
        return _version(self.tensor) != self.version


def pointer(tensor: Tensor) -> int:
    """Return where the memory of a tensor begins, 0 if it has none of its own."""
    try:
        return int(tensor.untyped_storage().data_ptr())
    except (RuntimeError, NotImplementedError):
        return 0


def is_lazy(tensor: Tensor) -> bool:
    """Whether a parameter or buffer has no shape before the first pass."""
    return isinstance(tensor, UninitializedTensorMixin)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def preserved(model: nn.Module) -> Iterator[Preserved]:
    """Hold a model's state and torch's random state while it runs; put both back."""
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    state = Preserved(model)
    with torch.random.fork_rng(devices=sorted(devices, key=str)):
        try:
            yield state
        finally:
            state.restore()
