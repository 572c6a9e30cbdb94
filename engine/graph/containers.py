"""Tensors in whatever a forward pass takes or returns: found by one function, and replaced by one.

Mappings (dicts, their subclasses, Hugging Face outputs), tuples, lists, sets, named tuples, dataclasses, what is
registered with torch's pytree, and plain objects that hold tensors as attributes are taken apart; a class that is
several of these is taken apart as each of them. Modules and functions are not entered.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

LEAVES = (
    Tensor, str, bytes, bytearray, int, float, complex, range, slice, torch.dtype, torch.device, torch.layout,
    type(None),
)  # fmt: skip
CLOSED = (nn.Module, ModuleType, FunctionType, MethodType, BuiltinFunctionType, type, torch.Generator)


def flatten(value: Any) -> list[tuple[str, Tensor]]:
    """Return the (path, tensor) pairs in a value, in its own order; a tensor by itself has the path "".

    A path joins keys, fields, attributes and places with points: `heads.seg`, `0`, `state.1`. A tensor that a class
    holds both as an item and as an attribute is listed once. Where two paths would be equal, the later one is numbered
    (`a.b#2`).
    """
    found: list[tuple[str, Tensor]] = []
    seen: dict[str, int] = {}
    for path, leaf in _leaves(value, "", ()):
        if isinstance(leaf, Tensor):
            seen[path] = seen.get(path, 0) + 1
            found.append((path if seen[path] == 1 else f"{path}#{seen[path]}", leaf))
    return found


def plain_values(value: Any) -> list[tuple[str, Any]]:
    """Return the (path, value) pairs of all that is no tensor and no container, such as numbers, names and None."""
    return [(path, leaf) for path, leaf in _leaves(value, "", ()) if not isinstance(leaf, Tensor)]


def replaced(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return the same structure with every tensor changed; what holds no tensor is the very object that it was."""
    if isinstance(value, Tensor):
        return change(value)
    if not flatten(value):
        return value
    if isinstance(value, tuple):
        parts = [replaced(part, change) for part in value]
        if type(value) is tuple:
            return tuple(parts)
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if type(value) is list:
        return [replaced(part, change) for part in value]
    if type(value) not in (dict,) and not _open(value):
        leaves, structure = _pytree.tree_flatten(value)
        return _pytree.tree_unflatten([replaced(leaf, change) for leaf in leaves], structure)
    return _copied(value, change)


def _copied(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    twin = _shallow(value)
    if isinstance(value, Mapping):
        for key, part in value.items():
            twin[key] = replaced(part, change)
    elif isinstance(value, list):
        twin[:] = [replaced(part, change) for part in value]
    elif isinstance(value, Iterable) and not dataclasses.is_dataclass(value):
        return type(value)(replaced(part, change) for part in value)  # type: ignore[call-arg]
    for name, part in _attributes(value):
        if not (isinstance(value, Mapping) and name in value):
            object.__setattr__(twin, name, replaced(part, change))
    return twin


def _shallow(value: Any) -> Any:
    try:
        return copy.copy(value)
    except TypeError:  # a constructor that asks for more
        kind: Any = type(value)
        twin = kind.__new__(kind)
        for name, part in _attributes(value):
            object.__setattr__(twin, name, part)
        return twin


def _open(value: Any) -> bool:
    """Whether a value is taken apart by its items or attributes, so that pytree is not asked."""
    if isinstance(value, Mapping | tuple | list | set | frozenset) or dataclasses.is_dataclass(value):
        return True
    return type(value) not in _pytree.SUPPORTED_NODES


def _leaves(value: Any, path: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, LEAVES):
        yield path, value
        return
    if isinstance(value, CLOSED) or id(value) in above:
        return
    parts = list(_parts(value))
    if not parts and not isinstance(value, Mapping | tuple | list | set | frozenset):
        yield path, value
    for key, part in parts:
        yield from _leaves(part, f"{path}.{key}" if path else str(key), (*above, id(value)))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds, by key: its items, and the attributes that are none of them."""
    items = list(_items(value))
    yield from items
    held, names = {id(part) for _, part in items}, {str(key) for key, _ in items}
    for name, part in _attributes(value):
        if name not in names and id(part) not in held:
            yield name, part


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list | set | frozenset):
        return [(str(place), part) for place, part in enumerate(value)]
    if type(value) in _pytree.SUPPORTED_NODES and not dataclasses.is_dataclass(value):
        parts, _ = _pytree.SUPPORTED_NODES[type(value)].flatten_fn(value)
        return [(str(place), part) for place, part in enumerate(parts)]
    return []


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Return the attributes of an object of a class of one's own: fields, slots and others."""
    if type(value).__module__ in ("builtins", "collections") or type(value).__module__.startswith("torch.return_types"):
        return []
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    named = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    named.update(getattr(value, "__dict__", {}))
    return list(named.items())


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    found = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in found if not name.startswith("__"))
