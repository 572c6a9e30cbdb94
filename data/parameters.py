"""Checks of the parameters that a data set is called with: the split, whole numbers, an index.

What a data set returns is checked by `data.validation`.
"""

from operator import index as as_index
from typing import get_args

import numpy as np

from winnow.data.sample import Split


def check_split(split: object) -> None:
    """Raise `ValueError` unless the split is one that there is."""
    if split not in get_args(Split):
        raise ValueError(f"`split` must be one of {', '.join(get_args(Split))}, got {split!r}.")


def check_whole(name: str, value: object, least: int) -> None:
    """Raise `ValueError` unless the parameter `name` is an integer, numpy's included, of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"`{name}` must be an integer, at least {least}, got {value!r}.")


def checked_index(index: int, length: int) -> int:
    """Return `index` as a plain integer, 0 ≤ index < length, else raise `IndexError`; none counts from the end."""
    if not 0 <= as_index(index) < length:
        raise IndexError(f"`index` must be from 0 to {length - 1}, got {index}.")
    return as_index(index)
