"""Sizes that remember where they come from, so that what Python makes of them is seen.

The program runs on them as on plain numbers. A comparison (`if w % 4`) is written down with its line: the graph holds
for sizes that decide alike. A size that is used as a number (`c ** -0.5`) belongs to the axes it was read from: if
channels lie along one of them, they stay, since the number would change with them. Python hides `2.0 * c` and
`range(c)`; there, the comparison of the smaller model with the model judges.
"""

import linecache
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.fx.node import map_aggregate

from winnow.engine.graph.operation import leaves

Origin = tuple[int | str, int]  # a tensor of the pass, or a parameter by its name, and the axis
OWN = str(Path(__file__).parent) + os.sep  # whole folders: torchvision is not torch
QUIET = (str(Path(torch.__file__).parent) + os.sep, OWN, f"{os.sep}einops{os.sep}", "<frozen")


@dataclass(frozen=True)
class Decision:
    """A place where the program goes one way or the other, and what decides: a size, or a value of the inputs."""

    module: str
    place: str
    kind: Literal["size", "value"]


@dataclass(frozen=True)
class Context:
    """A part of the program that runs under something that no operation shows, and where that is."""

    module: str
    kind: Literal["no_grad", "autocast", "hook", "parametrization", "gradients"]
    place: str = ""


class Observations:
    """What Python did with sizes and values during a pass."""

    def __init__(self, path: Callable[[], str]) -> None:
        self._path = path
        self.contexts: dict[Context, None] = {}
        self.decisions: dict[Decision, None] = {}
        self.numbers: dict[Origin, str] = {}

    def decided(self, kind: Literal["size", "value"]) -> bool:
        """Note that a size or value decided, by the line of the model's code; torch's own checks do not count."""
        place = _line()
        if place:
            self.decisions[Decision(self._path(), place, kind)] = None
        return bool(place)

    def context(self, kind: Literal["no_grad", "autocast"]) -> None:
        """Note that the model changes how its operations run; what torch does inside its own functions is no change."""
        path = self._path()
        if not any((known.module, known.kind) == (path, kind) for known in self.contexts):
            self.contexts[Context(path, kind, _line(through=True))] = None

    def asked_gradients(self) -> None:
        """Note that the model's code asks whether gradients are on, by its line; torch's own code may ask."""
        if place := _line():
            self.contexts[Context(self._path(), "gradients", place)] = None

    def number(self, origins: Iterable[Origin]) -> None:
        """Note that a size became a number that the result may depend on."""
        path = self._path()
        for origin in origins:
            self.numbers.setdefault(origin, path)


def _line(through: bool = False) -> str:
    """Return the line of the model that is running, "" if torch is; `through` looks through torch."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith((OWN, *QUIET[:1]) if through else OWN):
        frame = frame.f_back
    if frame is None or any(part in frame.f_code.co_filename for part in QUIET):
        return ""
    name, number = frame.f_code.co_filename, frame.f_lineno
    return f"{Path(name).name}:{number}: {linecache.getline(name, number).strip()}".rstrip(": ")


class _Remembering:
    """A number with the axes that it was computed from."""

    origins: frozenset[Origin]
    book: "weakref.ref[Observations]"

    def made(self, value: Any, other: Any = None) -> Any:
        """Return a result of arithmetic with the axes of both."""
        if value is NotImplemented:
            return value
        if isinstance(value, tuple):
            return tuple(self.made(part, other) for part in value)
        return sized(value, self.origins | getattr(other, "origins", frozenset()), self.book)

    def noted(self, decided: bool) -> None:
        """Write down that it decided, or became a number."""
        book = self.book()
        if book is not None and (not decided or book.decided("size")):
            book.number(self.origins)


class Sized(_Remembering, int):
    """A size."""

    def __bool__(self) -> bool:
        self.noted(decided=True)
        return int.__bool__(self)

    def __int__(self) -> int:
        self.noted(decided=False)
        return int.__int__(self)

    def __float__(self) -> float:
        self.noted(decided=False)
        return int.__float__(self)

    __hash__ = int.__hash__


class SizedFloat(_Remembering, float):
    """A fraction of sizes."""

    def __bool__(self) -> bool:
        self.noted(decided=True)
        return float.__bool__(self)

    def __int__(self) -> int:
        self.noted(decided=False)
        return float.__int__(self)

    __hash__ = float.__hash__


def sized(value: Any, origins: frozenset[Origin], book: "weakref.ref[Observations]") -> Any:
    """Return a number that remembers its axes; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not origins:
        return value
    found: Any = (Sized if isinstance(value, int) else SizedFloat)(value)
    found.origins, found.book = origins, book
    return found


def origins_in(structure: Any) -> frozenset[Origin]:
    """Return the axes of all sizes in arguments."""
    return frozenset().union(*(leaf.origins for leaf in leaves(structure, (Sized, SizedFloat))))


def plain_size(structure: Any) -> Any:
    """Return arguments with plain numbers for sizes."""

    def one(leaf: Any) -> Any:
        if isinstance(leaf, Sized):
            return int.__index__(leaf)
        return float.__add__(leaf, 0.0) if isinstance(leaf, SizedFloat) else leaf

    return map_aggregate(structure, one)


ARITHMETIC = """add sub mul floordiv mod truediv divmod pow radd rsub rmul rfloordiv rmod rtruediv rdivmod rpow
neg abs pos round floor ceil trunc and or xor lshift rshift rand ror rxor"""
COMPARED = "eq ne lt le gt ge"


def _arithmetic(kind: Any, name: str) -> Callable[..., Any]:
    plain = getattr(kind, name)

    def operator(self: Any, *others: Any) -> Any:
        found = plain(self, *others)
        if found is NotImplemented and isinstance(others[0], float):
            found = getattr(float, name)(float(int.__index__(self)), float.__add__(others[0], 0.0))
        return self.made(found, *others[:1])

    return operator


def _comparison(kind: Any, name: str) -> Callable[..., Any]:
    plain = getattr(kind, name)

    def operator(self: Any, other: Any) -> Any:
        self.noted(decided=True)
        return plain(self, other)

    return operator


for _own, _kind in ((Sized, int), (SizedFloat, float)):
    for _names, _make in ((ARITHMETIC, _arithmetic), (COMPARED, _comparison)):
        for _name in (f"__{_short}__" for _short in _names.split()):
            if hasattr(_kind, _name):
                setattr(_own, _name, _make(_kind, _name))
