"""What the targets of a split hold, gathered sample by sample: how much is known, of which classes or values."""

import math
from typing import Any

import numpy as np

from winnow.data.kinds import KINDS
from winnow.data.sample import Array, Field


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
        elif self.field.kind != "normals" and known.any():
            numbers = values[known].astype(np.float64)
            self._least, self._largest = min(self._least, numbers.min()), max(self._largest, numbers.max())
            self._total += float(numbers.sum())

    @property
    def absent(self) -> list[str]:
        """The classes or labels that no image has."""
        names = self.field.classes or tuple(map(str, range(len(self._counts))))
        return [name for name, count in zip(names, self._counts, strict=True) if not count] if self._kind.whole else []

    def record(self) -> dict[str, Any]:
        """Return what there is: images with a target, the share of entries that are known, and of what."""
        share = self._known / self._entries if self._entries else 0.0
        found: dict[str, Any] = {"kind": self.field.kind, "images": self._images, "known": round(share, 6)}
        if self._kind.whole:
            names = self.field.classes or tuple(map(str, range(len(self._counts))))
            found["classes"] = dict(zip(names, self._counts.tolist(), strict=True))
            found["shares"] = dict(zip(names, (self._counts / np.maximum(self._of, 1)).round(6).tolist(), strict=True))
        elif self.field.kind != "normals" and self._known:
            mean = self._total / self._known
            found |= {"unit": self.field.unit, "least": self._least, "mean": mean, "largest": self._largest}
        return found

    def _where_known(self, values: Array) -> Array:
        if self.field.kind == "normals":
            known: Array = np.any(values != 0, axis=2)
            return known
        return ~np.isnan(values) if math.isnan(self._kind.missing) else values != self._kind.missing
