"""Handwritten digits: 1,797 real images of 8 × 8 pixels, the smallest real data with several tasks.

Each image carries its digit, its parity and its ink, the mean darkness. Grey levels 0 … 16 become 0 … 255 by rounding.
Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits (UCI), as shipped with scikit-learn.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from data.sample import Array, Field, Sample, Split

FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "digit": Field(kind="classification", classes=tuple("0123456789")),
        "parity": Field(kind="classification", classes=("even", "odd")),
        "ink": Field(kind="regression", unit="1", scale=0.05),  # the spread over all images is 0.054
    }
)
SHARES: Mapping[Split, tuple[float, float]] = MappingProxyType(
    {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}
)


class Digits:
    """One split of the digits: 70 / 15 / 15 % in an order shuffled by `seed`."""

    name = "digits"
    fields = FIELDS

    def __init__(self, split: Split, seed: int = 0) -> None:
        if split not in SHARES:
            raise ValueError(f"`split` should be among {', '.join(SHARES)}. Found {split!r}.")
        images, classes = _load()
        order = np.random.default_rng(seed).permutation(len(images))
        first, last = (round(share * len(images)) for share in SHARES[split])
        self._images, self._classes = images[order[first:last]], classes[order[first:last]]

    def __len__(self) -> int:
        return len(self._images)

    def sample(self, index: int) -> Sample:
        """Return the digit at `index`, 0 ≤ index < len."""
        if not 0 <= index < len(self):
            raise IndexError(f"`index` should be from 0 to {len(self) - 1}. Found {index}.")
        image, digit = self._images[index], self._classes[index]
        return Sample(
            np.round(image * (255 / 16)).astype(np.uint8)[..., None],
            {
                "digit": np.asarray(digit, np.int64),
                "parity": np.asarray(digit % 2, np.int64),
                "ink": np.asarray(image.mean() / 16, np.float32),
            },
        )


def _load() -> tuple[Array, Array]:
    from sklearn.datasets import load_digits  # a second of import, for those who ask for digits only

    bunch = load_digits()
    return bunch.images, bunch.target
