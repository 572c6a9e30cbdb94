"""Images whose causes are known, and which of them each task needs: a ground truth for explanations.

An image is grey with up to twelve small patterns on it, one per *cause*: a wavelet of one of four directions in one of
three opponent colours (light–dark, red–green, blue–yellow; orthogonal, so that they do not meet). A cause is there
with chance 0.6, with a strength between 0.5 and 1, at a place of its own; shading and noise come on top. Tasks are
given functions of subsets of the causes: each set of tasks has at least one cause, and two causes serve nothing:

| causes  | a, b   | c, d      | e, f  | g                 | h             | i                | j   | k, l |
|---------|--------|-----------|-------|-------------------|---------------|------------------|-----|------|
| tasks   | amount | strongest | place | amount, strongest | amount, place | strongest, place | all | none |

| field       | array          | meaning                                                                              |
|-------------|----------------|--------------------------------------------------------------------------------------|
| `amount`    | () float32     | Σ weight · strength over a, b, g, h, j, with the weights of `AMOUNTS`                |
| `strongest` | () int64       | which of c, d, g, i, j is the strongest; 0, none, where none of them is there         |
| `place`     | (S, S) int64   | which of e, f, h, i, j is at the pixel; 0 elsewhere                                   |

Which look a cause has is drawn by the seed. The causes are independent given the seed; looks depend on the seed alone,
an image on (seed, split, index) and the size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from winnow.data.generated import Generated, GeneratedData
from winnow.data.sample import Field, Sample

CAUSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "a": ("amount",),
        "b": ("amount",),
        "c": ("strongest",),
        "d": ("strongest",),
        "e": ("place",),
        "f": ("place",),
        "g": ("amount", "strongest"),
        "h": ("amount", "place"),
        "i": ("strongest", "place"),
        "j": ("amount", "strongest", "place"),
        "k": (),
        "l": (),
    }
)
AMOUNTS: Mapping[str, float] = MappingProxyType({"a": 1.0, "b": 0.7, "g": 0.8, "h": 0.9, "j": 0.6})
AMOUNT_SPREAD = 0.698  # the standard deviation of `amount`: √Σ weight² · that of a strength, .435
PATCH = 9  # side of a pattern [pixel]
GRID = 4  # places per side: sixteen for twelve causes
SMALLEST = GRID * PATCH
PRESENT, WEAKEST = 0.6, 0.5  # chance of a cause; least strength of one that is there
CONTRAST, SHADING, NOISE = 0.35, 0.06, 0.02  # of a pattern of strength 1; parts of the range from black to white
DIRECTIONS = 4
COLOURS = ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (-0.5, -0.5, 1.0))
Array = NDArray[np.float32]


def causes_of(task: str) -> tuple[str, ...]:
    """Return the causes that a task needs."""
    return tuple(cause for cause, tasks in CAUSES.items() if task in tasks)


FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "amount": Field(kind="regression", unit="1", scale=AMOUNT_SPREAD),
        "strongest": Field(kind="classification", classes=("none", *causes_of("strongest"))),
        "place": Field(kind="segmentation", classes=("none", *causes_of("place"))),
    }
)


@dataclass(frozen=True)
class Planted(Generated):
    """`length` images of size × size pixels, at least 36."""

    name: ClassVar[str] = "planted"
    fields: ClassVar[Mapping[str, Field]] = FIELDS
    smallest: ClassVar[int] = SMALLEST
    _looks: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_looks", looks(int(self.seed)))

    def drawn(self, stream: list[int]) -> Sample:
        """Draw the image of a random stream: which causes are there, how strong, and where."""
        chance = np.random.default_rng([*stream, int(self.size)])
        present = chance.random(len(CAUSES)) < PRESENT
        strengths = np.where(present, chance.uniform(WEAKEST, 1.0, len(CAUSES)), 0.0)
        corners = _corners(chance, int(self.size))
        patches = self._looks * strengths[:, None, None, None].astype(np.float32)
        image = _drawn(patches, corners, int(self.size), chance)
        return Sample(image, _targets(dict(zip(CAUSES, strengths, strict=True)), corners, int(self.size)))


class PlantedData(GeneratedData):
    """Synthetic patterns, with known tasks for each: a ground truth for explanations."""

    summary = (
        "Patterns whose causes are known: an amount, the strongest one, the place of each. It is known which task "
        "needs which cause, so explanations can be checked."
    )
    known = FIELDS
    source = Planted

    dataset: Literal["planted"] = "planted"
    size: int = Option(64, ge=SMALLEST, le=1024, description="image side in pixels")


def looks(seed: int) -> Array:
    """Return the pattern of every cause, (12, 9, 9, 3), in [-1, 1] with mean 0; which is whose is drawn by the seed."""
    along = np.arange(PATCH) - PATCH // 2
    v, u = np.meshgrid(along, along, indexing="ij")
    window = np.exp(-(u**2 + v**2) / (2 * 2.0**2)) * disc()
    found = []
    for direction in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        wave = window * np.cos(np.pi / 2 * (u * np.cos(direction) + v * np.sin(direction)))
        wave -= window * wave.sum() / window.sum()
        found += [wave[:, :, None] / np.abs(wave).max() * np.array(colour) for colour in COLOURS]
    order = np.random.default_rng([seed, len(CAUSES)]).permutation(len(CAUSES))
    return np.stack(found)[order].astype(np.float32)


def disc() -> NDArray[np.bool_]:
    """Return where a pattern is, (9, 9): what `place` calls its place."""
    along = np.arange(PATCH) - PATCH // 2
    inside: NDArray[np.bool_] = np.add.outer(along**2, along**2) <= (PATCH / 2) ** 2
    return inside


def _corners(chance: np.random.Generator, size: int) -> NDArray[np.int64]:
    """Return the upper left corner of every cause, (12, 2): a cell of the grid each, and a place within it."""
    cell = size // GRID
    cells = chance.permutation(GRID**2)[: len(CAUSES)]
    corners: NDArray[np.int64] = np.stack(np.divmod(cells, GRID), 1) * cell
    return corners + chance.integers(0, cell - PATCH + 1, corners.shape)


def _drawn(patches: Array, corners: NDArray[np.int64], size: int, chance: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image of patches (12, 9, 9, 3) at their corners, shaded and noisy."""
    slope = np.linspace(-1, 1, size)
    level, down, right = chance.uniform(-SHADING / 2, SHADING / 2, 3)
    image = np.repeat((0.5 + level + down * slope[:, None] + right * slope)[:, :, None], 3, 2)
    for patch, (top, left) in zip(patches, corners, strict=True):
        image[top : top + PATCH, left : left + PATCH] += CONTRAST * patch
    image += chance.normal(0, NOISE, image.shape)
    levels: NDArray[np.uint8] = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return levels


def _targets(strengths: Mapping[str, float], corners: NDArray[np.int64], size: int) -> dict[str, NDArray[Any]]:
    rivals = [strengths[cause] for cause in causes_of("strongest")]
    place = np.zeros((size, size), np.int64)
    where = dict(zip(strengths, corners, strict=True))
    for number, cause in enumerate(causes_of("place"), 1):
        if strengths[cause] > 0:
            top, left = where[cause]
            place[top : top + PATCH, left : left + PATCH][disc()] = number
    return {
        "amount": np.asarray(sum(AMOUNTS[cause] * strengths[cause] for cause in AMOUNTS), np.float32),
        "strongest": np.asarray(0 if max(rivals) == 0 else 1 + int(np.argmax(rivals))),
        "place": place,
    }
