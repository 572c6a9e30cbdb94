"""Checks of samples on entry, against the table in `data.sample` and the kinds of `data.kinds`.

A failed check is a `DataError` that names the sample, the field, what was expected and what was found; where a single
value is at fault, the message holds the first such value and its position.
"""

from collections.abc import Mapping

import numpy as np

from winnow.data.kinds import KINDS, Array, Verdict
from winnow.data.sample import DataError, Field, Sample


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
        _check_values(Verdict(image, (image >= 0) & (image <= 1), "finite and in [0, 1]"), (where, "image"))
    return image.shape[0], image.shape[1]


def _check_target(target: Array, known: Field, size: tuple[int, int], part: tuple[str, str]) -> None:
    kind = KINDS[known.kind]
    shape = kind.shape(size, len(known.classes))
    if target.shape != shape:
        raise DataError(*part, f"of shape {shape}", f"shape {target.shape}")
    if not kind.stored_right(target):
        raise DataError(*part, kind.expected(len(known.classes)), target.dtype)
    for found in kind.verdicts(target, len(known.classes), known.unit):
        _check_values(found, part)


def _check_values(found: Verdict, part: tuple[str, str]) -> None:
    if found.right.all():
        return
    position = tuple(int(k) for k in np.argwhere(~found.right)[0])
    at = f" at {position}" if position else ""
    raise DataError(*part, found.expected, f"{found.values[position]:.6g}{at}")
