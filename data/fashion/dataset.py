"""Two items of clothing on one canvas: real photographs, and tasks that want different things of the same features.

An image is 36 × 36 grey pixels: one item upper left, one lower right, 20 × 20 pixels shared; the brighter pixel wins.
The idea of two overlapping items is that of MultiFashion (Lin et al., "Pareto Multi-Task Learning", NeurIPS 2019,
arXiv 1912.12854). What is at each pixel we add:

| field   | array          | meaning                                                                                   |
|---------|----------------|-------------------------------------------------------------------------------------------|
| `upper` | () int64       | class of the item upper left                                                              |
| `lower` | () int64       | class of the item lower right                                                             |
| `seg`   | (36, 36) int64 | class of the item whose pixel is seen, 0 for background: a pixel of at most `THRESHOLD`   |

`seg` is not annotated by hand: it follows from thresholded pixels, so dark parts of an item count as background.
An image depends on (seed, split, index) alone. Items of the three splits are disjoint (`data.fashion.items`).
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field as Option

from winnow.data.fashion.items import CLASSES, SIDE, items
from winnow.data.fingerprint import files_below, fingerprint
from winnow.data.parameters import check_split, check_whole, checked_index
from winnow.data.sample import Field, Sample, Split
from winnow.data.spec import DataSpec

CANVAS = 36  # pixels per side
SHIFT = CANVAS - SIDE
THRESHOLD = 15  # grey level, of 255, up to which a pixel is background
FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "upper": Field(kind="classification", classes=CLASSES),
        "lower": Field(kind="classification", classes=CLASSES),
        "seg": Field(kind="segmentation", classes=("background", *CLASSES)),
    }
)
USUAL: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 10,
        "batch_size": 64,
        "network": MappingProxyType({"widths": (16, 32, 64, 96), "blocks": (1, 1, 1, 1), "head_width": 32}),
        "optimiser": MappingProxyType({"learning_rate": 5e-3}),
    }
)
"""A run of less than two minutes on two cores: the images are small, and so is the network that tells them apart."""


class Fashion:
    """`length` images of two items each.

    Raises:
        ValueError: an unknown split, a negative length or seed.
        DataError: files below `root` are missing or damaged.

    """

    def __init__(self, split: Split, length: int = 1000, seed: int = 0, root: str = "") -> None:
        check_split(split)
        check_whole("length", length, 0)
        check_whole("seed", seed, 0)
        self._length, self._stream = int(length), [int(seed), get_args(Split).index(split)]
        self._items = items(split, root)

    @property
    def name(self) -> str:
        """What the data set is called."""
        return "fashion"

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image."""
        return FIELDS

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Sample:
        """Return the image at `index`, (36, 36, 1) uint8, 0 ≤ index < len, else raise `IndexError`."""
        place = checked_index(index, len(self))
        first, second = np.random.default_rng([*self._stream, place]).integers(len(self._items.labels), size=2)
        upper, lower = np.zeros((2, CANVAS, CANVAS), np.uint8)
        upper[:SIDE, :SIDE], lower[SHIFT:, SHIFT:] = self._items.images[first], self._items.images[second]
        classes = self._items.labels[[first, second]].astype(np.int64)
        image = np.maximum(upper, lower)
        seen = np.where(upper >= lower, classes[0], classes[1]) + 1
        targets = {
            "upper": classes[0],
            "lower": classes[1],
            "seg": np.where(image > THRESHOLD, seen, 0),
        }
        return Sample(image[:, :, None], {name: np.asarray(value) for name, value in targets.items()})


class FashionData(DataSpec):
    """Pairs of clothes from real photographs (Fashion-MNIST)."""

    summary = (
        "Photographs of clothes, two on a canvas of 36 × 36: which item upper left, which lower right, which at every "
        "pixel. From 8,000 images of Fashion-MNIST, or from all 70,000 of them in a folder."
    )
    known = FIELDS
    source = Fashion
    verb = "composing"
    usual = USUAL

    dataset: Literal["fashion"] = "fashion"
    train_length: int = Option(4000, ge=2, le=1_000_000, description="number of training images")
    val_length: int = Option(1000, ge=1, le=100_000, description="number of validation images")
    test_length: int = Option(
        1000, ge=1, le=100_000, description="number of test images, used only by a test at the end"
    )
    data_seed: int = Option(0, ge=0, description="seed of the pairs")
    root: str = Option("", max_length=4096, description="folder with the four IDX files; empty: the built-in images")

    def options(self, split: Split) -> dict[str, Any]:
        """Return the length of the split, the seed and the folder."""
        return {"length": self.length(split), "seed": self.data_seed, "root": self.root}

    def length(self, split: Split) -> int:
        """Return how many images a split has."""
        return {"train": self.train_length, "val": self.val_length, "test": self.test_length}[split]

    def fingerprint(self) -> str:
        """Return a digest of the files below `root`; "" for the built-in images."""
        return fingerprint(files_below(Path(self.root).expanduser(), "*-ubyte*")) if self.root else ""
