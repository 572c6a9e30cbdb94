"""What data sets that are made from a seed have in common: any number of square images of any side, options and checks.

An image depends on (seed, split, index), so that any order may be replayed; splits have random streams of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pydantic import Field as Option

from winnow.data.parameters import check_split, check_whole, checked_index
from winnow.data.sample import Field, Sample, Split
from winnow.data.spec import DataSpec


class GeneratedData(DataSpec):
    """Options of a data set that is made from a seed."""

    verb: ClassVar[str] = "rendering"

    size: int = Option(64, ge=8, le=1024, description="image side in pixels")
    train_length: int = Option(600, ge=2, le=1_000_000, description="number of training images")
    val_length: int = Option(150, ge=1, le=100_000, description="number of validation images")
    test_length: int = Option(
        150, ge=1, le=100_000, description="number of test images, used only by a test at the end"
    )
    data_seed: int = Option(0, ge=0, description="seed of the images")

    def options(self, split: Split) -> dict[str, Any]:
        """Return the length of the split, the size and the seed."""
        return {"length": self.length(split), "size": self.size, "seed": self.data_seed}

    def length(self, split: Split) -> int:
        """Return how many images a split has."""
        return {"train": self.train_length, "val": self.val_length, "test": self.test_length}[split]


@dataclass(frozen=True)
class Generated:
    """`length` images of size × size pixels; a subclass sets `name`, `fields` and `smallest`, and draws.

    Raises:
        ValueError: an unknown split, a negative length or seed, or a size under `smallest`.

    """

    split: Split
    length: int = 1000
    size: int = 64
    seed: int = 0
    name: ClassVar[str]
    fields: ClassVar[Mapping[str, Field]]
    smallest: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_split(self.split)
        for name, least in (("length", 0), ("size", self.smallest), ("seed", 0)):
            check_whole(name, getattr(self, name), least)

    def __len__(self) -> int:
        return int(self.length)

    def sample(self, index: int) -> Sample:
        """Return the image at `index`, 0 ≤ index < length, else raise `IndexError`."""
        place = checked_index(index, len(self))
        return self.drawn([int(self.seed), get_args(Split).index(self.split), place])

    def drawn(self, stream: list[int]) -> Sample:
        """Draw the image of a random stream: what `numpy.random.default_rng` is seeded with."""
        raise NotImplementedError(f"{type(self).__name__}.drawn")
