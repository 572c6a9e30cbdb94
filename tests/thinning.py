"""Large matrices of cases: `make test` runs cases that are spread over all of it, `make studies` the others."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def spread(every: int, *axes: Iterable[Any]) -> list[Any]:
    """Return all combinations of the values of some axes; those whose places don't add up to a multiple are studies.

    So about one of `every` is kept, and each value with others each time. A tuple stands for several arguments.

    Raises:
        ValueError: a value of an axis would be in no case that is kept.

    """
    found, kept = [], [set[int]() for _ in axes]
    lists = [list(axis) for axis in axes]
    for case in product(*(enumerate(axis) for axis in lists)):
        here = sum(place for place, _ in case) % every == 0
        for seen, (place, _) in zip(kept, case, strict=True):
            seen.update({place} if here else ())
        parts = [part for _, value in case for part in (value if isinstance(value, tuple) else (value,))]
        found.append(pytest.param(*parts, marks=() if here else pytest.mark.study))
    if any(len(seen) < len(axis) for seen, axis in zip(kept, lists, strict=True)):
        raise ValueError(f"`every` must leave each value in a case, got {every}. Choose a smaller one.")
    return found
