"""What a data set is: images, and for each of them the targets of several tasks.

A data set is anything with a length, named `fields` (what is known about each image) and `sample(i)`. Arrays are
numpy with height and width first; only the engine knows torch. Every sample passes `data.validation.validate` on entry,
so that the code behind it never meets a wrong shape, a NaN or a class that does not exist.

Missing values are marked in the array itself, as in the NYU-v2 files that multi-task papers exchange. The kinds of
target (`data.kinds.KINDS`):

| kind             | array                      | range                       | missing   |
|------------------|----------------------------|-----------------------------|-----------|
| `segmentation`   | (H, W) integer             | 0 … classes - 1             | -1        |
| `depth`          | (H, W) float32, metres     | > 0                         | 0         |
| `normals`        | (H, W, 3) float32, unit    | norm 1 within 1e-3          | (0, 0, 0) |
| `edges`          | (H, W) integer             | 0, 1                        | -1        |
| `classification` | () integer                 | 0 … classes - 1             | -1        |
| `regression`     | () float32, field's `unit` | finite                      | none      |
| `unspecified`    | none: a recorded run named the task without saying what it is         |           |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from winnow.data.kinds import KINDS

Split = Literal["train", "val", "test"]
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing known about every image: its kind, the names of its classes, the unit of its values.

    `scale` is a typical spread of a regression target in its unit; losses divide by it, so that a target in
    kilometres does not outweigh one in metres.

    Raises:
        ValueError: there is no such kind in `data.kinds.KINDS`.

    """

    kind: str
    classes: tuple[str, ...] = ()
    unit: str = "1"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, got {self.kind!r}.")

    @property
    def dense(self) -> bool:
        """Whether there is a value at every pixel."""
        return KINDS[self.kind].dense


@dataclass(frozen=True)
class Sample:
    """An image (H, W, C), uint8 or float32 in [0, 1], and its targets by field name."""

    image: Array
    targets: Mapping[str, Array] = field(default_factory=dict)


class Dataset(Protocol):
    """A finite sequence of samples; `sample(i)` is a pure function of i, so that any order may be replayed."""

    @property
    def name(self) -> str:
        """What the data set is called in specs and captions."""
        ...

    @property
    def fields(self) -> Mapping[str, Field]:
        """What is known about each image, in the order in which tasks are listed."""
        ...

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample:
        """Return the sample at `index`, 0 ≤ index < len."""
        ...


class DataError(ValueError):
    """A sample that is not what its field promises; the message says where, what was expected, what was found."""

    def __init__(self, where: str, part: str, expected: str, found: object) -> None:
        super().__init__(f"{where}: `{part}` must be {expected}, got {found}.")
