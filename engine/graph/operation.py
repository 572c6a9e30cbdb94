"""One traced operation as its rule sees it: concrete arguments, the carriers in their place, the concrete result."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.refusal import NotTraceable

PLAIN = frozenset((int, float, bool, str, type(None), torch.dtype, torch.device))  # what holds nothing


@dataclass(frozen=True, eq=False)
class Operation:
    """A call at `path`: the name of the function, method or module type; arguments twice, as values and as carriers."""

    path: str
    node: str
    name: str
    call: Callable[..., Any]
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    carried_args: tuple[Any, ...]
    carried_kwargs: dict[str, Any]
    result: Any
    leaf: bool = False  # whether it is all that a layer of torch.nn does

    @property
    def place(self) -> str:
        """Where it stands, for the user: the module's path, or the path and the function in it."""
        return self.path if self.module is not None or self.leaf else f"{self.path}.{self.name}".lstrip(".")

    def value(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument by place or name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def carrier(self, place: int = 0, name: str = "input") -> Carrier:
        """Return the carrier of a tensor argument."""
        found = self.carried_args[place] if place < len(self.carried_args) else self.carried_kwargs.get(name)
        if not isinstance(found, Carrier):
            raise self.refusal("give it a tensor as its first argument")
        return found

    def carriers(self) -> list[Carrier]:
        """Return the carriers of all tensor arguments, in order."""
        return self._carriers

    @cached_property
    def _carriers(self) -> list[Carrier]:
        return leaves((self.carried_args, self.carried_kwargs), Carrier)

    def refusal(self, advice: str) -> NotTraceable:
        """Return the error that names this operation."""
        return NotTraceable(self.path, f"`{self.name}`", advice)


def carriers_in(structure: Any) -> Iterator[Carrier]:
    """Yield the carriers in nested tuples, lists, dicts and slices."""
    yield from leaves(structure, Carrier)


def tensors_in(structure: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists, dicts and slices."""
    return leaves(structure, torch.Tensor)


def leaves(structure: Any, kind: type | tuple[type, ...]) -> list[Any]:
    """Return the leaves of a kind; no copy is made, for every operation is asked for its tensors several times."""
    found: list[Any] = []
    _collect(structure, kind, found)
    return found


def _collect(structure: Any, kind: Any, found: list[Any]) -> None:
    if isinstance(structure, kind):
        found.append(structure)
        return
    for part in structure if type(structure) is tuple else inside_of(structure):  # most are tuples: one call less
        if type(part) not in PLAIN:
            _collect(part, kind, found)


def inside_of(structure: Any) -> Iterable[Any]:
    """Return what a tuple, list, dict or slice holds, nothing of anything else."""
    if isinstance(structure, tuple | list):
        return structure
    if isinstance(structure, dict):
        return structure.values()
    return (structure.start, structure.stop, structure.step) if isinstance(structure, slice) else ()
