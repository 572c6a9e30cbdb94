"""Handwritten digits: the 1797 grey images, 8 × 8, of the UCI test set that scikit-learn carries.

A small real data set on which a whole run takes seconds. Three targets per image: which digit it is, whether it is
even, and how much ink it has. Grey levels 0 … 16 become round(255 level / 16), halves rounded up, in uint8; `ink` is
the mean of level / 16.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from winnow.data.parameters import check_split, check_whole, checked_index
from winnow.data.sample import Field, Sample, Split
from winnow.data.spec import DataSpec

INK_SPREAD = 0.0341  # the standard deviation of `ink` over the training split of seed 0
SHARES = MappingProxyType({"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)})
LENGTHS = MappingProxyType({"train": 1258, "val": 270, "test": 269})  # whatever the seed
FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "digit": Field(kind="classification", classes=tuple("0123456789")),
        "parity": Field(kind="classification", classes=("even", "odd")),
        "ink": Field(kind="regression", unit="1", scale=INK_SPREAD),
    }
)


class Digits:
    """One split of the digits: of each digit 70 % train, 15 % val and 15 % test, drawn by `seed`.

    Raises:
        ValueError: an unknown split or a negative seed.

    """

    def __init__(self, split: Split, seed: int = 0) -> None:
        check_split(split)
        check_whole("seed", seed, 0)
        levels, digits = _load()
        chosen = _chosen(digits, split, int(seed))
        self._levels, self._digits = levels[chosen], digits[chosen]

    @property
    def name(self) -> str:
        """What the data set is called."""
        return "digits"

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image."""
        return FIELDS

    def __len__(self) -> int:
        return len(self._digits)

    def sample(self, index: int) -> Sample:
        """Return the image at `index`, (8, 8, 1), 0 ≤ index < len, else raise `IndexError`."""
        place = checked_index(index, len(self))
        levels, digit = self._levels[place], self._digits[place]
        targets = {
            "digit": np.asarray(digit),
            "parity": np.asarray(digit % 2),
            "ink": np.asarray(levels.mean() / 16, np.float32),
        }
        return Sample(((levels * 255 + 8) // 16).astype(np.uint8)[:, :, None], targets)


class DigitsData(DataSpec):
    """Handwritten digits of 8 × 8 pixels, the smallest real data."""

    summary = "Handwritten digits, 8 × 8 grey: which digit, even or odd, how much ink. 1797 real images."
    known = FIELDS
    source = Digits

    dataset: Literal["digits"] = "digits"
    data_seed: int = Option(0, ge=0, description="seed of the split into training, validation and test images")

    def options(self, split: Split) -> dict[str, Any]:
        """Return the seed."""
        return {"seed": self.data_seed}

    def length(self, split: Split) -> int:
        """Return how many images a split has."""
        return LENGTHS[split]


def _load() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return grey levels, (1797, 8, 8), and digits; from the file, since importing scikit-learn takes seconds."""
    package = find_spec("sklearn")
    file = Path((package and package.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if file.exists():
        table = np.loadtxt(file, delimiter=",", dtype=np.float64).astype(np.int64)
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images.astype(np.int64), bunch.target.astype(np.int64)


def _chosen(digits: NDArray[np.int64], split: Split, seed: int) -> NDArray[np.int64]:
    """Return the places of a split: the same share of each digit, in random order."""
    generator = np.random.default_rng(seed)
    low, high = SHARES[split]
    parts = []
    for digit in range(10):
        places = generator.permutation(np.flatnonzero(digits == digit))
        parts.append(places[round(low * len(places)) : round(high * len(places))])
    return generator.permutation(np.concatenate(parts))
