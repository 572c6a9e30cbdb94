"""What a data set is: images, and for each of them the targets of several tasks.

A data set is anything with a length, named `fields` (what is known about each image) and `sample(i)`. Arrays are
numpy with height and width first; only the engine knows torch. Every sample passes `data.validation.validate` on entry,
so that the code behind it never meets a wrong shape, a NaN or a class that does not exist.

Missing values are marked in the array itself, as in the NYU-v2 files that multi-task papers exchange. The kinds of
target (`data.kinds.KINDS`):

| kind             | array                         | range                       | missing   |
|------------------|-------------------------------|-----------------------------|-----------|
| `segmentation`   | (H, W) integer                | 0 … classes - 1             | -1        |
| `depth`          | (H, W) float32, metres        | > 0                         | 0         |
| `normals`        | (H, W, 3) float32, unit       | norm 1 within 1e-3          | (0, 0, 0) |
| `edges`          | (H, W) integer                | 0, 1                        | -1        |
| `map`            | (H, W) float32, field's `unit`| finite                      | NaN       |
| `classification` | () integer                    | 0 … classes - 1             | -1        |
| `multilabel`     | (classes,) integer            | 0, 1                        | -1        |
| `regression`     | () float32, field's `unit`    | finite                      | NaN       |
| `vector`         | (classes,) float32, `unit`    | finite                      | NaN       |
| `unspecified`    | none: a recorded run named the task without saying what it is           |           |

The classes of a `multilabel` field name its labels, those of a `vector` its numbers. The x component of normals points
along the rows of the image, so that it changes its sign when the image is mirrored.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from winnow.data.blame import printable
from winnow.data.kinds import KINDS

Split = Literal["train", "val", "test"]
Array = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A figure of merit: its name in events, its label on an axis, its unit ("": the field's), which way is better."""

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class Learner:
    """Code of the user's own that learns a field in place of its kind's task, and the metrics that it computes."""

    code: str
    path: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing known about every image: its kind, the names of its classes, the unit of its values.

    `scale` is a typical spread of a regression target in its unit; losses divide by it, so that a target in
    kilometres does not outweigh one in metres. `weights` says how much each class counts in the loss; of a `multilabel`
    field, how much the presence of each label counts against its absence. None given: all count the same. `learner` is
    the user's own task for it, if there is one.

    Raises:
        ValueError: there is no such kind in `data.kinds.KINDS`, a field with a value per class names no class, or the
            weights do not fit the classes.

    """

    kind: str
    classes: tuple[str, ...] = ()
    unit: str = "1"
    scale: float = 1.0
    weights: tuple[float, ...] = ()
    learner: Learner | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, got {self.kind!r}.")
        if KINDS[self.kind].per_class and not self.classes:
            raise ValueError(f"`classes` must name the values of a {self.kind} field, got none.")
        if self.weights:
            self._check_weights()

    def _check_weights(self) -> None:
        if not KINDS[self.kind].weighted:
            raise ValueError(f"`weights` must be left out for fields of kind {self.kind}, got {self.weights}.")
        if len(self.weights) != len(self.classes) or not all(0 < weight < math.inf for weight in self.weights):
            expected = f"{len(self.classes)} positive numbers, one per class"
            raise ValueError(f"`weights` must be {expected}, got {self.weights}.")

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


@dataclass(frozen=True)
class Wrapped:
    """A data set with the name and the fields of another one, whose samples it takes from elsewhere, or only some."""

    whole: Dataset

    @property
    def name(self) -> str:
        """The name of the whole data set."""
        return self.whole.name

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields of the whole data set."""
        return self.whole.fields


class DataError(ValueError):
    """A sample or a file is not what it should be: where, which part, what was expected, what was found.

    `mend` says in a sentence how to correct it; "" where that is plain. What was found may be bytes of a damaged file:
    the message shows it on one line, without control characters.
    """

    def __init__(self, where: str, part: str, expected: str, found: object, mend: str = "") -> None:
        found = printable(" ".join(str(found).split()))
        self.where, self.part, self.expected, self.found, self.mend = where, part, expected, found, mend
        super().__init__(f"{where}: `{part}` must be {expected}, got {found}.{f' {mend}' if mend else ''}")
