"""What the targets of a split hold, gathered sample by sample: how much is known, of which classes or values."""

import math
from typing import Any

import numpy as np

from winnow.data.kinds import KINDS
from winnow.data.sample import Array, Field

FAR, NEAR = 100.0, 0.05  # m: a mean depth beyond is more likely one in another unit
DIRECTIONS = ("x", "y", "z")  # the components of a normal


def hardly_metres(mean: float) -> str:
    """Say why a mean depth is hardly one in metres, and what to do; "" where it may be."""
    if math.isnan(mean) or NEAR <= mean <= FAR:
        return ""
    if mean < NEAR:
        said = "which is very near. If the values are a share of the range, or inverse depths, convert them to metres"
    else:
        said = (
            "which is very far. If the values are millimetres, convert them to metres: `factor = 0.001` in "
            "dataset.toml, or divide by 1000 in your own code"
        )
    return f"the mean is {mean:.4g} m, {said}"


class Histogram:
    """Counts of numbers in bins of one width: a power of two, which doubles until `MOST` bins hold all of them."""

    MOST = 64

    def __init__(self) -> None:
        self._width, self._first = 0.0, 0
        self._counts = np.zeros(0, np.int64)

    def add(self, values: Array) -> None:
        """Take in finite numbers."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not self._width:
            self._width = 2.0 ** math.floor(math.log2(((high - low) or abs(high) or 1.0) / self.MOST))
            self._first = math.floor(low / self._width)
        while not self._fits(low, high):
            self._double()
        first = min(self._first, math.floor(low / self._width))
        last = max(self._first + len(self._counts) - 1, math.floor(high / self._width))
        counts = np.zeros(last - first + 1, np.int64)
        counts[self._first - first : self._first - first + len(self._counts)] = self._counts
        counts += np.bincount(np.floor(values / self._width).astype(np.int64) - first, minlength=len(counts))
        self._first, self._counts = first, counts

    def rows(self) -> list[tuple[float, float, int]]:
        """Return (low, high, count) of each bin, from the first to the last that holds a number; high is outside."""
        edges = (self._first + np.arange(len(self._counts) + 1)) * self._width
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), self._counts.tolist(), strict=True))

    def _fits(self, low: float, high: float) -> bool:
        first = min(self._first, math.floor(low / self._width))
        last = max(self._first + len(self._counts) - 1, math.floor(high / self._width))
        return last - first < self.MOST

    def _double(self) -> None:
        places = (self._first + np.arange(len(self._counts))) // 2
        self._first, self._width = self._first // 2, 2 * self._width
        if len(places):
            self._counts = np.bincount(places - self._first, self._counts).astype(np.int64)


class FieldSummary:
    """The targets of one field; parts of a split may be summarised apart and added."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._kind = KINDS[field.kind]
        self._entries = self._known = self._images = 0
        levels = self._kind.levels if not self._kind.per_class else len(field.classes)
        self._counts = np.zeros(levels or len(field.classes), np.int64)
        self._of = np.zeros(len(self._counts), np.int64)  # known entries that could be of each class
        self._least, self._largest, self._total = math.inf, -math.inf, 0.0
        self._parts = DIRECTIONS if field.kind == "normals" else field.classes if self._kind.per_class else ("",)
        self.histograms = {} if self._kind.whole else {part: Histogram() for part in self._parts}

    def add(self, values: Array) -> None:
        """Take in the target of one image, as `data.sample` describes it."""
        known = self._where_known(values)
        self._entries += known.size
        self._known += int(known.sum())
        self._images += int(known.any())
        if self._kind.per_class and self._kind.whole:
            self._counts += values == 1
            self._of += known
        elif self._kind.whole:
            self._counts += np.bincount(values[known].astype(np.int64), minlength=len(self._counts))
            self._of += int(known.sum())
        else:
            self._add_numbers(values, known)

    def _add_numbers(self, values: Array, known: Array) -> None:
        if self.field.kind == "normals":
            for place, histogram in enumerate(self.histograms.values()):
                histogram.add(values[:, :, place][known].astype(np.float64))
            return
        if self._kind.per_class:
            for place, histogram in enumerate(self.histograms.values()):
                histogram.add(values[place : place + 1][known[place : place + 1]].astype(np.float64))
        else:
            self.histograms[""].add(values[known].astype(np.float64))
        if known.any():
            numbers = values[known].astype(np.float64)
            self._least, self._largest = min(self._least, numbers.min()), max(self._largest, numbers.max())
            self._total += float(numbers.sum())

    @property
    def absent(self) -> list[str]:
        """The classes or labels that no image has."""
        names = self.field.classes or tuple(map(str, range(len(self._counts))))
        return [name for name, count in zip(names, self._counts, strict=True) if not count] if self._kind.whole else []

    @property
    def mean(self) -> float | None:
        """The mean of all numbers that are known; None where there is none, or they are directions or classes."""
        counted = not self._kind.whole and self.field.kind != "normals" and self._known
        return self._total / self._known if counted else None

    def record(self) -> dict[str, Any]:
        """Return what there is: images with a target, the share of entries that are known, and of what."""
        share = self._known / self._entries if self._entries else 0.0
        found: dict[str, Any] = {"kind": self.field.kind, "images": self._images, "known": round(share, 6)}
        if self._kind.whole:
            names = self.field.classes or tuple(map(str, range(len(self._counts))))
            found["classes"] = dict(zip(names, self._counts.tolist(), strict=True))
            found["shares"] = dict(zip(names, (self._counts / np.maximum(self._of, 1)).round(6).tolist(), strict=True))
        elif self.mean is not None:
            found |= {"unit": self.field.unit, "least": self._least, "mean": self.mean, "largest": self._largest}
        return found

    def _where_known(self, values: Array) -> Array:
        if self.field.kind == "normals":
            known: Array = np.any(values != 0, axis=2)
            return known
        return ~np.isnan(values) if math.isnan(self._kind.missing) else values != self._kind.missing
