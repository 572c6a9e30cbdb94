"""The data sets that come with the package, by name.

A form lists names, fields and options from `DATASETS` without loading anything; `load` builds one split.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from winnow.data import digits, planted
from winnow.data.digits import Digits
from winnow.data.parameters import check_split
from winnow.data.planted import Planted
from winnow.data.sample import Dataset, Field, Split
from winnow.data.scenes import dataset as scenes
from winnow.data.scenes.dataset import Scenes


@dataclass(frozen=True)
class Entry:
    """A data set: how to load a split of it, its fields, the names of its options and one line about it."""

    load: Callable[..., Dataset]
    fields: Mapping[str, Field]
    options: tuple[str, ...]
    summary: str


def _scenes(split: Split, length: int = 1000, size: int = 64, seed: int = 0) -> Dataset:
    return Scenes(split, length, size, seed)


def _digits(split: Split, seed: int = 0) -> Dataset:
    return Digits(split, seed)


def _planted(split: Split, length: int = 1000, size: int = 64, seed: int = 0) -> Dataset:
    return Planted(split, length, size, seed)


DATASETS: Mapping[str, Entry] = MappingProxyType(
    {
        "scenes": Entry(
            _scenes,
            scenes.FIELDS,
            ("length", "size", "seed"),
            "Synthetic rooms: 13 classes, depth, surface normals and edges, any size and number, from a seed.",
        ),
        "digits": Entry(
            _digits,
            digits.FIELDS,
            ("seed",),
            "Handwritten digits, 8 × 8 grey: which digit, even or odd, how much ink. 1797 real images.",
        ),
        "planted": Entry(
            _planted,
            planted.FIELDS,
            ("length", "size", "seed"),
            "Patterns whose causes are known: an amount, the strongest one, the place of each. Which task needs "
            "which is given, so that explanations can be judged.",
        ),
    }
)


def load(name: str, *, split: Split = "train", **options: Any) -> Dataset:
    """Return a split of the data set called `name`; options left out take their defaults.

    Raises `ValueError` for an unknown name, split or option, naming those there are, and for a value out of range.
    """
    if name not in DATASETS:
        raise ValueError(f"`name` should be one of {', '.join(DATASETS)}. Found {name!r}.")
    check_split(split)
    known = DATASETS[name].options
    for option in options:
        if option not in known:
            raise ValueError(f"Options of `{name}` should be among {', '.join(known)}. Found {option!r}.")
    return DATASETS[name].load(split, **options)
