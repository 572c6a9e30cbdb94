"""The kinds of target that a field may have: how each is stored, and which values it may hold.

`KINDS` is the registry. Whoever needs to know what a kind looks like reads it there: `Field`, the checks of
`data.validation`, and by name the tasks of the engine (`engine.specs.tasks`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNIT_TOLERANCE = 1e-3
Array = NDArray[Any]


@dataclass(frozen=True)
class Verdict:
    """What a rule says about an array: the values that it looked at, which of them are right, what is expected."""

    values: Array
    right: NDArray[np.bool_]
    expected: str


@dataclass(frozen=True)
class TargetKind:
    """How the targets of one kind are stored.

    `dense`: one value per pixel, (H, W, *trailing); otherwise one per image, `trailing`. `per_class`: one value for
    each of the field's classes, (classes,). `whole`: integers, from 0 on one per class of the field, or `levels`;
    otherwise float32. `missing`: what stands where the value is not known. `rules`: what float32 values that are known
    must keep, given the field's unit. `weighted`: a field may give each of its classes a weight in the loss.
    """

    dense: bool
    whole: bool
    missing: float
    trailing: tuple[int, ...] = ()
    per_class: bool = False
    levels: int = 0
    rules: tuple[Callable[[Array, str], Verdict], ...] = ()
    weighted: bool = False

    def shape(self, size: tuple[int, int], classes: int = 0) -> tuple[int, ...]:
        """Return the shape of a target of an image of `size`, (height, width), for a field of so many classes."""
        trailing = (classes,) if self.per_class else self.trailing
        return (*size, *trailing) if self.dense else trailing

    def unknown(self, size: tuple[int, int], classes: int = 0) -> Array:
        """Return the target of an image of which nothing is known."""
        return np.full(self.shape(size, classes), self.missing, np.int64 if self.whole else np.float32)

    def stored_right(self, target: Array) -> bool:
        """Return whether the array has the type of this kind."""
        return bool(np.issubdtype(target.dtype, np.integer)) if self.whole else target.dtype == np.float32

    def expected(self, classes: int) -> str:
        """Return in words what the array holds, for a field of so many named classes."""
        return f"integers from -1 to {(self.levels or classes) - 1}" if self.whole else "float32"

    def verdicts(self, target: Array, classes: int, unit: str) -> list[Verdict]:
        """Return what each rule says about a target of the right shape and type."""
        if self.whole:
            last = (self.levels or classes) - 1
            return [Verdict(target, (target >= -1) & (target <= last), self.expected(classes))]
        if math.isnan(self.missing):
            finite = Verdict(target, ~np.isinf(target), "finite, or NaN where it is missing")
        else:
            finite = Verdict(target, np.isfinite(target), "finite")
        return [finite] if not finite.right.all() else [finite, *(rule(target, unit) for rule in self.rules)]


def _not_negative(target: Array, unit: str) -> Verdict:
    return Verdict(target, target >= 0, f"at least 0 {unit}")


def _directions(target: Array, _: str) -> Verdict:
    norm = np.sqrt(np.square(target, dtype=np.float64).sum(-1))
    return Verdict(norm, (np.abs(norm - 1) <= UNIT_TOLERANCE) | (norm == 0), "vectors of norm 1 or 0")


KINDS: Mapping[str, TargetKind] = MappingProxyType(
    {
        "segmentation": TargetKind(dense=True, whole=True, missing=-1, weighted=True),
        "depth": TargetKind(dense=True, whole=False, missing=0, rules=(_not_negative,)),
        "normals": TargetKind(dense=True, whole=False, missing=0, trailing=(3,), rules=(_directions,)),
        "edges": TargetKind(dense=True, whole=True, missing=-1, levels=2),
        "map": TargetKind(dense=True, whole=False, missing=math.nan),
        "classification": TargetKind(dense=False, whole=True, missing=-1, weighted=True),
        "multilabel": TargetKind(dense=False, whole=True, missing=-1, per_class=True, levels=2, weighted=True),
        "regression": TargetKind(dense=False, whole=False, missing=math.nan),
        "vector": TargetKind(dense=False, whole=False, missing=math.nan, per_class=True),
        "unspecified": TargetKind(dense=False, whole=False, missing=math.nan),
    }
)
