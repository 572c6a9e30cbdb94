"""Large matrices of cases: `make test` runs cases that are spread over all of it, `make reliability` the others."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def spread(every: int, *axes: Iterable[Any]) -> list[Any]:
    """Return all combinations of the values of some axes; all but every n-th are studies.

    A combination is kept if the sum of its places is divisible by `every`: each value of the longest axes is in cases
    that are kept, with other values of the other axes each time. A value that is a tuple stands for several arguments.
    """
    return [
        pytest.param(*_flat(value for _, value in case), marks=_marks(sum(place for place, _ in case) % every))
        for case in product(*(enumerate(axis) for axis in axes))
    ]


def _flat(values: Iterable[Any]) -> list[Any]:
    return [part for value in values for part in (value if isinstance(value, tuple) else (value,))]


def _marks(left_out: int) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.study,) if left_out else ()
