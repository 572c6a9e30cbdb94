"""A copy of a model that holds nothing of the model, the functions that it keeps included.

`copy.deepcopy` takes a function for a constant. A hook or a lambda that remembers a layer, a parameter or a list of the
model would go on using the model's own from the copy: the copy would give the right numbers by the wrong weights.
"""

import copy
import sys
import weakref
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from operator import is_
from pathlib import Path
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.graph.containers import CLOSED
from winnow.engine.graph.preserving import pointer
from winnow.engine.graph.refusal import NotTraceable

CONTAINERS = (dict, list, tuple, set, frozenset, deque)
CALLING = (MethodType, partial)
OF_TORCH = frozenset(vars(nn.Module()))
Model = TypeVar("Model", bound=nn.Module)
SHARED = (str, bytes, int, float, complex, type, ModuleType, BuiltinFunctionType, torch.dtype, type(None))
MOST = 1_000_000  # objects that a model may hold: more cannot be looked through in a second or two
READS = "{} that goes on reading `{}` of the model from a copy of it (by {})"
BY = "a global name, an object or a function's attribute outside of the model, or a class made inside of a function"
HOLD_IT = "keep what it reads as an attribute of the module that it belongs to, and read it from there"
TOO_MANY = f"more than {MOST:,} objects"
HOLD_LESS = "keep tables and data outside of the model: all that it holds is looked through before it is copied"


def deep_copy(model: Model, memo: Mapping[int, Any] | None = None) -> Model:
    """Return a deep copy in which functions that remember parts of the model remember those of the copy.

    Functions are found through closures, defaults, attributes and methods; weak references follow too. An object that
    only a hook knows, and through which no part of the model is reached (a feature extractor, a list of what passes
    gave), is the same for both: passes of the copy write into it as those of the model do.

    Args:
        model: any module.
        memo: what stands for objects of the model in the copy, by their ids.

    Raises:
        NotTraceable: the model holds more objects than are looked through.

    """
    made, held = dict(memo or {}), _Held(model)
    for kept in held.results():
        made.setdefault(id(kept), kept.detach().clone())
    cells: dict[int, tuple[CellType, CellType]] = {}
    remembering = _remembering(held, made)
    for function in remembering:
        made[id(function)] = _like(function, cells)
    twin = copy.deepcopy(model, made)
    for before, after in cells.values():
        if _filled(before):
            after.cell_contents = _of_copy(before.cell_contents, held, made)
    for function in remembering:
        new = made[id(function)]
        new.__defaults__ = _of_copy(function.__defaults__, held, made)
        new.__kwdefaults__ = _of_copy(function.__kwdefaults__, held, made)
        vars(new).update({name: _of_copy(value, held, made) for name, value in vars(function).items()})
    _refer(made)
    return twin


def held_tensors(model: nn.Module) -> list[Tensor]:
    """Return all tensors that a model holds, those too that no module has registered, as in a list of layers."""
    return _Held(model).tensors()


class Apart(TorchDispatchMode):
    """Refuses an operation on the memory of some models, while copies of them run."""

    def __init__(self, *models: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch gives it no types
        self._names = {place: name for model in models for name, tensor in _named(model) if (place := pointer(tensor))}

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
                raise NotTraceable(name.rpartition(".")[0], READS.format(_reader(), name, BY), HOLD_IT)
        return func(*args, **(kwargs or {}))


def _named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that a model holds, those first that no module has registered, by the attribute they are in."""
    known = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
    if any(id(tensor) not in known for tensor in held_tensors(model)):
        modules = {id(module) for module in model.modules()}
        for path, module in reversed(list(model.named_modules())):
            for name, value in vars(module).items():
                within = [] if isinstance(value, SHARED) or name in OF_TORCH else _Held(value, modules).tensors()
                yield from ((f"{path}.{name}".lstrip("."), one) for one in within if id(one) not in known)
    yield from model.named_parameters()
    yield from model.named_buffers()


def _reader() -> str:
    """Return the words for the innermost function that is neither torch's nor ours."""
    frame = sys._getframe(1)
    while (above := frame.f_back) is not None:
        home = str(frame.f_globals.get("__name__")).partition(".")[0]
        code = frame.f_code
        if home == "winnow" and code.co_name == "run":
            break
        if home not in ("torch", "winnow"):
            return f"`{code.co_name}` ({Path(code.co_filename).name}, line {frame.f_lineno})"
        frame = above
    return "a function"


class _Held:
    """What a model holds, and the functions that it could call."""

    def __init__(self, model: Any, but: Container[int] = ()) -> None:
        self.functions: dict[int, FunctionType] = {}
        self._own: dict[int, Any] = {}
        waiting: list[Any] = [model]
        while waiting:
            if len(self._own) > MOST:
                raise NotTraceable("", TOO_MANY, HOLD_LESS)
            value = waiting.pop()
            if isinstance(value, FunctionType):
                self._take(value)
            elif id(value) not in self._own and id(value) not in but and not isinstance(value, SHARED):
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
            elif isinstance(one, (*CONTAINERS, *CALLING)):
                waiting.extend(_parts(one))
            elif type(one) is weakref.ref:
                waiting.append(one())
        return False

    def _take(self, function: FunctionType) -> None:
        """Note a function, and the functions that it remembers."""
        waiting: list[Any] = [function]
        while waiting:
            one = waiting.pop()
            if isinstance(one, FunctionType) and id(one) not in self.functions:
                self.functions[id(one)] = one
                waiting.extend(_remembered(one))
            elif type(one) in (list, tuple, dict) or isinstance(one, CALLING):
                waiting.extend(part for part in _parts(one) if isinstance(part, (FunctionType, *CALLING)))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, CONTAINERS):
        return value
    if isinstance(value, MethodType):
        return (value.__self__, value.__func__)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, nn.Module) or not isinstance(value, (*CLOSED, Tensor)):
        return list(getattr(value, "__dict__", {}).values())
    return ()


def _remembered(function: FunctionType) -> list[Any]:
    """Return what a function keeps: the variables around it, its defaults and its attributes."""
    cells = (cell.cell_contents for cell in function.__closure__ or () if _filled(cell))
    named = (*(function.__kwdefaults__ or {}).values(), *vars(function).values())
    return [*cells, *(function.__defaults__ or ()), *named]


def _remembering(held: "_Held", made: Mapping[int, Any]) -> list[FunctionType]:
    """Return the functions that remember parts of the model, and those that share a variable with one of them."""
    others = [one for one in held.functions.values() if id(one) not in made]
    found = list[FunctionType]()
    new = [one for one in others if held.reaches(_remembered(one))]
    while new:
        found += new
        shared = {id(cell) for one in found for cell in one.__closure__ or ()}
        others = [one for one in others if one not in new]
        new = [one for one in others if not shared.isdisjoint(map(id, one.__closure__ or ()))]
    return found


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


def _refer(made: Mapping[int, Any]) -> None:
    """Let weak references and methods that a copy holds, {id: copy}, be of what is in the copy."""
    for key, value in list(made.items()):
        if key in (id(made), id(value)):  # what `copy.deepcopy` keeps alive, and what stands for itself
            continue
        if isinstance(value, FunctionType):
            for cell in filter(_filled, value.__closure__ or ()):
                cell.cell_contents = _referring(cell.cell_contents, made)
            value.__defaults__ = _referring(value.__defaults__, made)
        held: Any = value if isinstance(value, dict | list | deque) else getattr(value, "__dict__", None)
        places = enumerate(held) if isinstance(held, list | deque) else (held or {}).items()
        changed = [(place, new) for place, old in places if (new := _referring(old, made)) is not old]
        for place, new in changed:
            held[place] = new


def _referring(value: Any, made: Mapping[int, Any]) -> Any:
    """Return a weak reference, a method, a partial or a tuple of such as it is in the copy; else the very value."""
    if type(value) is weakref.ref:
        return weakref.ref(made[id(value())]) if id(value()) in made else value
    if type(value) is MethodType and id(value.__func__) in made:
        return MethodType(made[id(value.__func__)], made.get(id(value.__self__), value.__self__))
    if type(value) not in (tuple, partial):
        return value
    parts = tuple(_parts(value))
    new: tuple[Any, ...] = tuple(_referring(part, made) for part in parts)
    if all(map(is_, parts, new)):
        return value
    if isinstance(value, tuple):
        return new
    count = len(value.args) + 1
    return partial(new[0], *new[1:count], **dict(zip(value.keywords, new[count:], strict=True)))


def _of_copy(value: Any, held: _Held, made: dict[int, Any]) -> Any:
    """Return what a function of the copy keeps in the place of a value; what is not of the model stays the same."""
    return copy.deepcopy(value, made) if held.reaches(value) else value
