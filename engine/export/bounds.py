"""How much a document may ask for: no number, word or list beyond a size, no results that do not fit the inputs.

Before a program runs on inputs of new shapes it is carried out once on tensors without memory
(`torch._subclasses.FakeTensorMode`), so that what it would hold at once is known before any of it is allocated. The
limit is a constant, or a multiple of what the user has brought himself: the inputs, and the tensors of the file.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import _disable_current_modes

from winnow.engine.export.notes import unlogged
from winnow.engine.export.refusal import NotRebuildable

STEPS = 200_000  # of a program
ELEMENTS, TIMES = 2**26, 512  # held at once: a quarter of a gigabyte in float32, or so often what was given
NUMBER = 2**63
ENTRIES = 2**16  # of a list or tuple
ADVICE = "Load only models whose source you trust, or rebuild this one from its code."


def number_bounded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator of Python that takes tensors, numbers and short tuples, and gives no more than that.

    A power of whole numbers takes time and memory without end, and so do words and lists that are multiplied; so
    neither is begun.
    """

    def checked(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, Tensor) for value in args):
            return call(*args, **kwargs)
        if name not in ("getitem", "eq", "ne") and any(isinstance(value, str | bytes | list | dict) for value in args):
            raise NotRebuildable(f"`{name}` must be given tensors and numbers, got {_kinds(args)}. {ADVICE}")
        if name in ("pow", "lshift") and not _small_power(*args):
            raise NotRebuildable(f"`{name}` must give a number below 2^63, got {args}. {ADVICE}")
        if name == "mul" and any(isinstance(value, tuple) for value in args):
            raise NotRebuildable(f"`{name}` must be given tensors and numbers, got {_kinds(args)}. {ADVICE}")
        return plain_bounded(call(*args, **kwargs), name)

    return checked


def plain_bounded(value: Any, name: str) -> Any:
    """Return a plain result if it is small.

    Raises:
        NotRebuildable: it is a number from 2^63, or a structure of more than 65,536 entries.

    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= NUMBER:
        raise NotRebuildable(f"`{name}` must give a number below 2^63, got one of {value.bit_length()} bits. {ADVICE}")
    if isinstance(value, list | tuple | dict | str) and len(value) > ENTRIES:
        raise NotRebuildable(f"`{name}` must give at most {ENTRIES} entries, got {len(value)}. {ADVICE}")
    return value


def _small_power(base: Any, exponent: Any) -> bool:
    if isinstance(base, int) and isinstance(exponent, int):
        return exponent < 0 or base in (-1, 0, 1) or base.bit_length() * exponent <= 64
    return not isinstance(base, tuple) and not isinstance(exponent, tuple)


def _kinds(args: tuple[Any, ...]) -> str:
    return " and ".join(type(value).__name__ for value in args)


class Held:
    """Counts the elements that results hold at once, and stops before they are too many."""

    def __init__(self, given: int) -> None:
        self.limit = max(ELEMENTS, TIMES * given)
        self._counts: dict[str, int] = {}

    def take(self, name: str, value: Any) -> None:
        """Note a result.

        Raises:
            NotRebuildable: with it the results are too large.

        """
        plain_bounded(value, name)
        self._counts[name] = elements(value)
        if (held := sum(self._counts.values())) > self.limit:
            raise NotRebuildable(
                f"`{name}` must leave the results below {self.limit:,} elements for inputs of this size, got {held:,}. "
                f"{ADVICE}"
            )

    def drop(self, name: str) -> None:
        """Forget a result that was let go of."""
        self._counts.pop(name, None)


def elements(value: Any) -> int:
    """Return how many elements the tensors in a structure have."""
    counts: list[int] = []
    map_aggregate(value, lambda leaf: counts.append(leaf.numel()) if isinstance(leaf, Tensor) else None)
    return sum(counts)


def signature(values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the shapes and plain values of inputs, by which a program is admitted; None for what is no plain tensor.

    Tensors that stand for others (of torch.export, torch.compile, torch.fx) hold no memory of their own.
    """
    found = []
    for name, value in values.items():
        leaves: list[Any] = []
        map_aggregate(value, leaves.append)
        found += [(name, *_signed(leaf)) if _plain(leaf) else None for leaf in leaves]
    return None if None in found else tuple(found)


def _plain(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return type(leaf) in (Tensor, torch.nn.Parameter) and not torch.compiler.is_compiling()
    return isinstance(leaf, bool | int | float | str | type(None))


def _signed(leaf: Any) -> tuple[Any, ...]:
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else (leaf,)


@contextmanager
def without_memory() -> Iterator[Callable[[Any], Any]]:
    """Let operations run on shapes alone; gives what makes such tensors of real ones."""
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        with unlogged("torch._subclasses.fake_tensor"), mode, torch.random.fork_rng(devices=[]), torch.no_grad():
            yield lambda value: map_aggregate(
                value, lambda leaf: mode.from_tensor(leaf) if isinstance(leaf, Tensor) else leaf
            )
