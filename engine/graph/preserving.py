"""A model that runs and is afterwards what it was: attributes, containers, buffers, submodules, hooks, modes, weights.

What a forward pass stores (an auxiliary loss, features, a cache, a counter) is taken back: the attributes of all
modules, and the contents of all lists, dicts, sets and plain objects that they hold. Buffers and other tensors are
copied before; parameters are copied when an operation is about to write into one, which `preserved` watches for.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import is_
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.graph.containers import CLOSED
from winnow.engine.graph.refusal import NotTraceable

LARGEST = 2**20  # elements of a tensor that is copied before, rather than when it is written to
MOST = 100_000  # objects that a model may hold, after which nothing more is looked into
SIMPLE = (str, int, float, bool, type(None), FunctionType, MethodType, type)
CHANGEABLE, FIXED_CONTAINERS = (dict, list, set, deque), (tuple, frozenset)
WRITTEN = "a parameter that the forward pass changes where it cannot be undone"


class Preserved:
    """The state of a model at one time."""

    def __init__(self, model: nn.Module) -> None:
        self.rewritten: dict[str, None] = {}  # the parameters that passes wrote into
        self._contents: list[tuple[Any, Any]] = []
        self._seen: dict[int, Any] = {}
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}
        self._watched: dict[int, _Watched] = {}
        for name, parameter in model.named_parameters():
            self._watch(parameter, name)
        self._keep(model)
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
        for value, before in self._contents:
            if value or before:
                _put_back(value, before)
        lost = [held.name for key, held in self._watched.items() if held.changed() and key not in self._copies]
        with torch.no_grad():
            for held in self._watched.values():
                if held.moved():
                    held.tensor.data = held.data
            for key, (tensor, before) in self._copies.items():
                another, known = _copy_back(tensor, before), self._watched.get(key)
                if known is not None and isinstance(tensor, nn.Parameter) and (another or known.changed()):
                    self.rewritten[known.name] = None
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
            self._keep_tensor(value)
        elif isinstance(value, CHANGEABLE):
            self._contents.append((value, value.copy()))
            self._keep_parts(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, FIXED_CONTAINERS):
            self._keep_parts(value)
        elif isinstance(value, nn.Module) or not isinstance(value, CLOSED):
            self._keep_parts([getattr(value, "__dict__", None)])

    def _keep_parts(self, parts: Iterable[Any]) -> None:
        for part in parts:
            if type(part) not in SIMPLE:
                self._keep(part)

    def _keep_tensor(self, tensor: Tensor) -> None:
        if tensor.numel() > LARGEST:
            self._watch(tensor, "a tensor that the model holds")
        elif id(tensor) not in self._watched and not is_lazy(tensor):
            self._copies[id(tensor)] = (tensor, tensor.detach().clone())


class Changes(Preserved):
    """What one step of work changes in a model, so that this can be taken back, and what is done after it stays.

    Every tensor is copied before, so that however the step writes is seen.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._after: dict[int, dict[Any, Any]] = {}
        for tensor, _ in list(self._copies.values()):
            self._watch(tensor, "a tensor that the model holds")
        for key, held in self._watched.items():
            self._copies.setdefault(key, (held.tensor, held.data.clone()))

    def end(self) -> None:
        """Forget all that the step left as it was."""
        self._contents = [pair for pair in self._contents if not _same(*pair)]
        self._after = {id(value): dict(value) for value, _ in self._contents if isinstance(value, dict)}
        self._copies = {key: pair for key, pair in self._copies.items() if self._watched[key].moved() or _other(*pair)}
        self._watched = {key: self._watched[key] for key in self._copies}

    def restore(self) -> None:
        """Take the step back, or all since it began where it did not end."""
        self._contents = [(value, self._without_step(value, before)) for value, before in self._contents]
        super().restore()

    def _without_step(self, value: Any, before: Any) -> Any:
        after = self._after.get(id(value))
        if after is None:
            return before
        changed = {key for key in before.keys() | after.keys() if before.get(key, after) is not after.get(key, after)}
        kept = {key: own for key, own in value.items() if key not in changed}
        found = {key: before[key] if key in changed else kept[key] for key in before if key in changed or key in kept}
        return found | kept


class Writes(TorchDispatchMode):
    """Tells a state of what operations are about to write."""

    supports_higher_order_operators = True  # such as torch.cond, which may not write

    def __init__(self, state: Preserved) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch gives it no types
        self._state = state

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside, so torch need not load its compiler (seconds) to leave this class out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, after what it writes into was copied."""
        if isinstance(func, torch._ops.OpOverload) and func._schema.is_mutable:
            for leaf in torch.utils._pytree.arg_tree_leaves(*args, **(kwargs or {})):
                if isinstance(leaf, Tensor):
                    self._state.about_to_write(leaf)
        return func(*args, **(kwargs or {}))


def _copy_back(tensor: Tensor, before: Tensor) -> bool:
    """Put a tensor back, and return whether it was another."""
    if tensor.shape != before.shape:
        tensor.data = before
    elif _other(tensor, before):
        tensor.data.copy_(before)
    else:
        return False
    return True


def _other(tensor: Tensor, before: Tensor) -> bool:
    """Return whether a tensor is not, or cannot be said to be, what it was; one of a shape alone has no values."""
    if tensor.is_meta:
        return False
    return tensor.layout != torch.strided or not torch.equal(tensor, before)


def _put_back(value: Any, before: Any) -> None:
    """Make a container what it was, if it is another now."""
    if _same(value, before):
        return
    value.clear()
    (value.extend if isinstance(value, list | deque) else value.update)(before)


def _same(value: Any, before: Any) -> bool:
    return len(value) == len(before) and all(map(is_, _parts(value), _parts(before)))


def _parts(value: Any) -> Iterable[Any]:
    return chain(value, value.values()) if isinstance(value, dict) else value


@dataclass(frozen=True, eq=False)
class _Watched:
    """A tensor that is copied only when it is about to change."""

    name: str
    tensor: Tensor
    data: Tensor
    version: int

    def changed(self) -> bool:
        return _version(self.tensor) != self.version

    def moved(self) -> bool:
        return pointer(self.tensor) != pointer(self.data)


def pointer(tensor: Tensor) -> int:
    """Return where the memory of a tensor begins, 0 if it has none of its own."""
    try:
        return int(tensor.untyped_storage().data_ptr())
    except (RuntimeError, NotImplementedError):
        return 0


def is_lazy(tensor: Tensor) -> bool:
    """Whether a parameter or buffer has no shape before the first pass."""
    return isinstance(tensor, UninitializedParameter | UninitializedBuffer)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def preserved(model: nn.Module) -> Iterator[Preserved]:
    """Hold a model's state and torch's random state while it runs; put both back, the weights included."""
    with state_kept(model) as state, Writes(state):
        yield state


@contextmanager
def state_kept(model: nn.Module) -> Iterator[Preserved]:
    """Hold a model's state and torch's random state; put both back, and weights whose writing the state is told of.

    For passes that are watched otherwise, or timed: `preserved` takes a call of Python at each operation.
    """
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    state = Preserved(model)
    with torch.random.fork_rng(devices=sorted(devices, key=str)):
        try:
            yield state
        finally:
            state.restore()
