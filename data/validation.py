"""Checks of samples on entry, against the table in `data.sample`.

A failed check is a `DataError` that names the sample, the field, what was expected and what was found; where a single
value is at fault, the message holds the first such value and its position.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from winnow.data.sample import Array, DataError, Field, Sample

UNIT_TOLERANCE = 1e-3


def validate(sample: Sample, fields: Mapping[str, Field], where: str) -> Sample:
    """Return the sample if its image and every field obey the table, else raise `DataError`.

    `where` names the file or the index for the message. Targets that are no field are not looked at.
    """
    height, width = _check_image(_array(sample.image, where, "image"), where)
    if not isinstance(sample.targets, Mapping):
        raise DataError(where, "targets", "a mapping from field names to arrays", type(sample.targets).__name__)
    for name, known in fields.items():
        if name not in sample.targets:
            raise DataError(where, name, "among the targets", ", ".join(map(str, sample.targets)) or "none")
        _check_target(_array(sample.targets[name], where, name), known, (height, width), (where, name))
    return sample


def _array(value: object, where: str, part: str) -> Array:
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise DataError(where, part, "a numpy array", type(value).__name__)
    return np.asarray(value)


def _check_image(image: Array, where: str) -> tuple[int, int]:
    if image.ndim != 3 or 0 in image.shape:
        raise DataError(where, "image", "(height, width, channels), none of them 0", f"shape {image.shape}")
    if image.dtype not in (np.uint8, np.float32):
        raise DataError(where, "image", "uint8, or float32 in [0, 1]", image.dtype)
    if image.dtype == np.float32:
        _check_values(image, (image >= 0) & (image <= 1), "finite and in [0, 1]", (where, "image"))
    return image.shape[0], image.shape[1]


def _check_target(target: Array, known: Field, size: tuple[int, int], part: tuple[str, str]) -> None:
    shape = _shape(known, size)
    if target.shape != shape:
        raise DataError(*part, f"of shape {shape}", f"shape {target.shape}")
    if known.kind in ("depth", "normals", "regression"):
        _check_real(target, known, part)
    else:
        _check_whole(target, known, part)


def _shape(known: Field, size: tuple[int, int]) -> tuple[int, ...]:
    if not known.dense:
        return ()
    return (*size, 3) if known.kind == "normals" else size


def _check_real(target: Array, known: Field, part: tuple[str, str]) -> None:
    if target.dtype != np.float32:
        raise DataError(*part, "float32", target.dtype)
    _check_values(target, np.isfinite(target), "finite", part)
    if known.kind == "depth":
        _check_values(target, target >= 0, f"at least 0 {known.unit}", part)
    if known.kind == "normals":
        norm = np.sqrt(np.square(target, dtype=np.float64).sum(-1))
        right = (np.abs(norm - 1) <= UNIT_TOLERANCE) | (norm == 0)
        _check_values(norm, right, "vectors of norm 1 or 0", part)


def _check_whole(target: Array, known: Field, part: tuple[str, str]) -> None:
    last = 1 if known.kind == "edges" else len(known.classes) - 1
    expected = f"integers from -1 to {last}"
    if not np.issubdtype(target.dtype, np.integer):
        raise DataError(*part, expected, target.dtype)
    _check_values(target, (target >= -1) & (target <= last), expected, part)


def _check_values(values: Array, right: NDArray[np.bool_], expected: str, part: tuple[str, str]) -> None:
    if right.all():
        return
    position = tuple(int(k) for k in np.argwhere(~right)[0])
    at = f" at {position}" if position else ""
    raise DataError(*part, expected, f"{values[position]:.6g}{at}")
