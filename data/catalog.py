"""The data sets by name: what each knows and takes, told without loading any of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from data import digits
from data.sample import Dataset, Field, Split
from data.scenes import dataset as scenes


@dataclass(frozen=True)
class Entry:
    """A data set that can be asked for: its fields, its options besides the split, one sentence about it."""

    open: Callable[..., Dataset]
    fields: Mapping[str, Field]
    options: tuple[str, ...]
    summary: str


DATASETS: Mapping[str, Entry] = MappingProxyType(
    {
        "scenes": Entry(
            scenes.Scenes,
            scenes.FIELDS,
            ("length", "size", "seed"),
            "Procedural rooms with exact classes, depth, normals and edges (synthetic).",
        ),
        "digits": Entry(
            digits.Digits,
            digits.FIELDS,
            ("seed",),
            "1,797 handwritten digits of 8 × 8 pixels: class, parity, ink (real).",
        ),
    }
)


def load(name: str, *, split: Split = "train", **options: Any) -> Dataset:
    """Return a split of a data set: `load("scenes", split="train", size=64, length=1000, seed=0)`.

    Raises:
        ValueError: no such data set, split or option; the message lists those that exist.

    """
    if name not in DATASETS:
        raise ValueError(f"`name` should be among {', '.join(DATASETS)}. Found {name!r}.")
    entry = DATASETS[name]
    if unknown := sorted(set(options) - set(entry.options)):
        raise ValueError(f"options of {name} should be among {', '.join(entry.options)}. Found {', '.join(unknown)}.")
    if name == "scenes":
        options = {"length": 1000, **options}
    return entry.open(split, **options)
