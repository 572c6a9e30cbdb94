"""The kinds of target that a field may have: how each is stored, and which values it may hold.

`KINDS` is the registry. Whoever needs to know what a kind looks like reads it there: `Field`, the checks of
`data.validation`, and by name the tasks of the engine (`engine.specs.tasks`).
"""

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

    `dense`: one value per pixel, (H, W, *trailing); otherwise one per image, `trailing`. `whole`: integers, -1 where
    missing, from 0 on one per class of the field, or `classes` of them where the field names none; otherwise float32.
    `rules`: what finite float32 values must keep, given the field's unit.
    """

    dense: bool
    whole: bool
    trailing: tuple[int, ...] = ()
    classes: int = 0
    rules: tuple[Callable[[Array, str], Verdict], ...] = ()

    def shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of a target of an image of `size`, (height, width)."""
        return (*size, *self.trailing) if self.dense else self.trailing

    def stored_right(self, target: Array) -> bool:
        """Return whether the array has the type of this kind."""
        return bool(np.issubdtype(target.dtype, np.integer)) if self.whole else target.dtype == np.float32

    def expected(self, classes: int) -> str:
        """Return in words what the array holds, for a field of so many named classes."""
        return f"integers from -1 to {(classes or self.classes) - 1}" if self.whole else "float32"

    def verdicts(self, target: Array, classes: int, unit: str) -> list[Verdict]:
        """Return what each rule says about a target of the right shape and type."""
        if self.whole:
            last = (classes or self.classes) - 1
            return [Verdict(target, (target >= -1) & (target <= last), self.expected(classes))]
        finite = Verdict(target, np.isfinite(target), "finite")
        return [finite] if not finite.right.all() else [finite, *(rule(target, unit) for rule in self.rules)]


def _not_negative(target: Array, unit: str) -> Verdict:
    return Verdict(target, target >= 0, f"at least 0 {unit}")


def _directions(target: Array, _: str) -> Verdict:
    norm = np.sqrt(np.square(target, dtype=np.float64).sum(-1))
    return Verdict(norm, (np.abs(norm - 1) <= UNIT_TOLERANCE) | (norm == 0), "vectors of norm 1 or 0")


KINDS: Mapping[str, TargetKind] = MappingProxyType(
    {
        "segmentation": TargetKind(dense=True, whole=True),
        "depth": TargetKind(dense=True, whole=False, rules=(_not_negative,)),
        "normals": TargetKind(dense=True, whole=False, trailing=(3,), rules=(_directions,)),
        "edges": TargetKind(dense=True, whole=True, classes=2),
        "classification": TargetKind(dense=False, whole=True),
        "regression": TargetKind(dense=False, whole=False),
        "unspecified": TargetKind(dense=False, whole=False),
    }
)
