"""A copy of a model that holds nothing of the model, the functions that it keeps included.

`copy.deepcopy` takes a function for a constant. A hook or a lambda that remembers a layer, a parameter or a list of the
model would go on using the model's own from the copy: the copy would give the right numbers by the wrong weights.
"""

import copy
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.graph.containers import CLOSED
from winnow.engine.graph.preserving import pointer
from winnow.engine.graph.refusal import NotTraceable

CONTAINERS = (dict, list, tuple, set, frozenset, deque)
Model = TypeVar("Model", bound=nn.Module)
SHARED = (str, bytes, int, float, complex, type, ModuleType, BuiltinFunctionType, torch.dtype, type(None))
MOST = 100_000  # objects that a model may hold, after which nothing more is looked into
READS = (
    "a function of its own that goes on reading `{}` of the model that it was copied from (a global name, or a class "
    "that was made inside of a function)"
)
HOLD_IT = "keep what it reads as an attribute of the module that it belongs to, and read it from there"


def deep_copy(model: Model, memo: Mapping[int, Any] | None = None) -> Model:
    """Return a deep copy in which functions that remember parts of the model remember those of the copy.

    Args:
        model: any module.
        memo: what stands for objects of the model in the copy, by their ids.

    """
    made, held = dict(memo or {}), _Held(model)
    for kept in held.results():
        made.setdefault(id(kept), kept.detach().clone())
    cells: dict[int, tuple[CellType, CellType]] = {}
    remembering = [one for one in held.functions.values() if id(one) not in made and held.reaches(_remembered(one))]
    for function in remembering:
        made[id(function)] = _like(function, cells)
    twin = copy.deepcopy(model, made)
    _refer(twin, made)
    for before, after in cells.values():
        if _filled(before):
            after.cell_contents = _of_copy(before.cell_contents, held, made)
    for function in remembering:
        new = made[id(function)]
        new.__defaults__ = _of_copy(function.__defaults__, held, made)
        new.__kwdefaults__ = _of_copy(function.__kwdefaults__, held, made)
    return twin


def held_tensors(model: nn.Module) -> list[Tensor]:
    """Return all tensors that a model holds, those too that no module has registered, as in a list of layers."""
    return _Held(model).tensors()


class Apart(TorchDispatchMode):
    """Refuses an operation on the memory of some models, while copies of them run."""

    def __init__(self, *models: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch gives it no types
        named = [pair for model in models for pair in (*model.named_parameters(), *model.named_buffers())]
        self._names = {place: name for name, tensor in named if (place := pointer(tensor))}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside, so torch need not load its compiler (seconds) to leave this class out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation on memory of others.

        Raises:
            NotTraceable: it takes a tensor of theirs.

        """
        for leaf in torch.utils._pytree.arg_tree_leaves(*args, **(kwargs or {})):
            name = self._names.get(pointer(leaf)) if isinstance(leaf, Tensor) else None
            if name is not None:
                raise NotTraceable(name.rpartition(".")[0], READS.format(name), HOLD_IT)
        return func(*args, **(kwargs or {}))


class _Held:
    """What a model holds, and the functions that it could call."""

    def __init__(self, model: nn.Module) -> None:
        self.functions: dict[int, FunctionType] = {}
        self._own: dict[int, Any] = {}
        waiting: list[Any] = [model]
        while waiting and len(self._own) < MOST:
            value = waiting.pop()
            if isinstance(value, FunctionType):
                self._take(value)
            elif id(value) not in self._own and not isinstance(value, SHARED):
                self._own[id(value)] = value
                waiting.extend(_parts(value))

    def results(self) -> list[Tensor]:
        """Return the tensors that layers made in a last pass, which torch does not copy by itself."""
        return [tensor for tensor in self.tensors() if not tensor.is_leaf]

    def tensors(self) -> list[Tensor]:
        """Return all tensors."""
        return [value for value in self._own.values() if isinstance(value, Tensor)]

    def reaches(self, value: Any) -> bool:
        """Whether a value is of the model, or is made of such values."""
        seen: dict[int, Any] = {}
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen[id(one)] = one
            if id(one) in self._own and not isinstance(one, tuple | frozenset):
                return True
            if isinstance(one, FunctionType):
                waiting.append(_remembered(one))
            elif isinstance(one, (*CONTAINERS, MethodType, partial)):
                waiting.extend(_parts(one))
        return False

    def _take(self, function: FunctionType) -> None:
        """Note a function, and the functions that it remembers."""
        waiting: list[Any] = [function]
        while waiting:
            one = waiting.pop()
            if isinstance(one, FunctionType) and id(one) not in self.functions:
                self.functions[id(one)] = one
                waiting.extend(_remembered(one))
            elif type(one) in (list, tuple, dict) and len(one) < MOST:
                waiting.extend(part for part in _parts(one) if isinstance(part, FunctionType | partial))
            elif isinstance(one, partial):
                waiting.append(one.func)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, CONTAINERS):
        return value
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, nn.Module) or not isinstance(value, (*CLOSED, Tensor)):
        return list(getattr(value, "__dict__", {}).values())
    return ()


def _remembered(function: FunctionType) -> list[Any]:
    """Return what a function keeps: the variables around it, and its defaults."""
    cells = (cell.cell_contents for cell in function.__closure__ or () if _filled(cell))
    return [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty one raises
    except ValueError:
        return False
    return True


def _like(function: FunctionType, cells: dict[int, tuple[CellType, CellType]]) -> FunctionType:
    """Return the same function over cells of its own, which are empty still; what two functions share stays shared."""
    closure = tuple(cells.setdefault(id(cell), (cell, CellType()))[1] for cell in function.__closure__ or ())
    new = FunctionType(function.__code__, function.__globals__, function.__name__, None, closure)
    new.__qualname__, new.__module__, new.__doc__ = function.__qualname__, function.__module__, function.__doc__
    new.__annotations__ = function.__annotations__
    vars(new).update(vars(function))
    return new


def _refer(twin: nn.Module, made: Mapping[int, Any]) -> None:
    """Let the weak references that modules of a copy hold be to what is in the copy."""
    for module in twin.modules():
        for name, value in vars(module).items():
            if type(value) is weakref.ref and id(value()) in made:
                vars(module)[name] = weakref.ref(made[id(value())])


def _of_copy(value: Any, held: _Held, made: dict[int, Any]) -> Any:
    """Return what a function of the copy keeps in the place of a value; what is not of the model stays the same."""
    return copy.deepcopy(value, made) if held.reaches(value) else value
