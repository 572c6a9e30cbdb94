"""From stored numbers to targets: missing values, factors, ranges, codes, each checked and never guessed.

Every function takes the file for its messages, and returns the array that `data.sample` promises for the kind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.data.sample import Array, DataError

FAINT = 0.5  # a stored normal of a smaller norm is missing; the bound of InvPT's evaluation
LONG = 1.1  # a stored normal of a larger norm is no direction
CENTRE = 127.5  # of a component coded in 8 bits: n = v / 127.5 − 1


@dataclass(frozen=True)
class StoredNumbers:
    """Stored numbers as a quantity: metres or the field's unit are `factor` × stored, between `low` and `high`.

    `missing` lists the stored values that stand for "not known"; NaN may be among them. `factor` None: 1 for floats,
    and integers are refused, as their unit is not known.
    """

    missing: tuple[float, ...] = ()
    factor: float | None = None
    low: float = -math.inf
    high: float = math.inf
    unit: str = "1"
    empty: float = math.nan  # what a missing value becomes
    positive: bool = False  # above 0, whatever `low`

    def decode(self, path: Path, stored: Array) -> Array:
        """Return float32 values, `empty` where missing; one that is not finite or out of range is a `DataError`."""
        if stored.dtype.kind != "f" and self.factor is None:
            mend = "Give `factor`: 0.001 if they are millimetres."
            raise DataError(str(path), "values", f"floats in {self.unit}, or have a factor", stored.dtype, mend)
        absent = is_missing(stored, self.missing)
        values = stored.astype(np.float64) * (1.0 if self.factor is None else self.factor)
        unreal = ~absent & ~np.isfinite(values)
        require(path, ~unreal, stored, "finite", "List the number in `missing` if it marks a missing value.")
        low = "above 0 and at most" if self.positive else f"from {self.low:.6g} to"
        right = (values >= self.low) & (values <= self.high) & ((values > 0) | (not self.positive))
        mend = "Check the unit: millimetres, for example, need a factor of 0.001."
        require(path, absent | right, values, f"{low} {self.high:.6g} {self.unit}", mend)
        return np.where(absent, self.empty, values).astype(np.float32)


def depth_of(factor: float | None = None, missing: tuple[float, ...] = (0,), high: float = 1000.0) -> StoredNumbers:
    """Return how depths are stored: positive metres up to `high`, 0 where missing."""
    return StoredNumbers(missing, factor, 0, high, "m", 0, positive=True)


def classes_of(path: Path, stored: Array, values: Sequence[int], missing: Sequence[float], mend: str = "") -> Array:
    """Return classes 0 … of stored whole numbers, (…) int8 or int16: the place in `values`, -1 where missing."""
    absent = is_missing(stored, missing)
    found = np.full(stored.shape, -1, np.int8 if len(values) < 128 else np.int16)
    known = np.asarray(values, np.int64)
    order = np.argsort(known)
    place = np.searchsorted(known[order], stored).clip(max=len(known) - 1)
    right = known[order][place] == stored
    found[right & ~absent] = order[place][right & ~absent]
    listed = ", ".join(map(str, values))
    consecutive = list(values) == list(range(len(values)))
    said = f"a class from 0 to {len(values) - 1}" if consecutive else f"one of {listed}"
    require(path, right | absent, stored, said, mend)
    return found


def directions_of(path: Path, stored: Array, missing: tuple[float, ...] = ()) -> Array:
    """Return unit vectors (H, W, 3) float32 of stored ones, 0 where missing: bytes are centred at 127.5 first.

    Missing is what equals the triple `missing`, and what is shorter than 0.5; lengths up to 1.1 are rounding or
    blending, and are set to 1. Bytes come from a picture; an array of integers is refused, as its code is not known.
    """
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise DataError(str(path), "shape", "(height, width, 3)", stored.shape)
    absent = np.all(stored == np.asarray(missing), axis=2) if missing else np.zeros(stored.shape[:2], np.bool_)
    if stored.dtype.kind != "f" and stored.dtype != np.uint8:
        raise DataError(str(path), "dtype", "float, or bytes of a picture", stored.dtype)
    vectors = stored / CENTRE - 1 if stored.dtype == np.uint8 else stored.astype(np.float64)
    require(path, absent | np.isfinite(vectors).all(2), vectors.sum(2), "finite", "Store (0, 0, 0) where not known.")
    length = np.sqrt(np.square(np.where(absent[:, :, None], 0, vectors)).sum(2))
    mend = "Divide bytes by 127.5 and subtract 1; list a code for missing normals in `missing`."
    require(path, length <= LONG, length, f"directions: vectors of norm 1 (up to {LONG})", mend)
    known = (length >= FAINT)[:, :, None]
    return np.where(known, vectors / np.maximum(length, FAINT)[:, :, None], 0).astype(np.float32)


def is_missing(stored: Array, missing: Sequence[float]) -> NDArray[np.bool_]:
    """Return where stored values are among those that stand for "not known"."""
    found = np.zeros(stored.shape, np.bool_)
    for value in missing:
        found |= np.isnan(stored) if math.isnan(value) else stored == value
    return found


def require(path: Path, right: NDArray[np.bool_], values: Array, expected: str, mend: str) -> None:
    """Raise `DataError` with the first value that is not right, and how many there are."""
    if right.all():
        return
    place = tuple(int(k) for k in np.argwhere(~right)[0])
    count = int((~right).sum())
    more = f", the first of {count}" if count > 1 else ""
    raise DataError(str(path), "values", expected, f"{values[place]:.6g} at {place}{more}", mend)
