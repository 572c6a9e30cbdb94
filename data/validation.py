"""Checks of samples on entry, against the table in `data.sample` and the kinds of `data.kinds`.

A failed check is a `DataError` that names the sample, the field, what was expected and what was found; where a single
value is at fault, the message holds the first such value and its position.
"""

from collections.abc import Mapping

import numpy as np

from winnow.data.kinds import KINDS, Array, Verdict
from winnow.data.sample import DataError, Field, Sample

ARRAYS = {  # what to give in the place of something else, by the name of its class
    "Tensor": "Give tensor.numpy(); of an image tensor.permute(1, 2, 0).numpy().",
    "Image": "Give np.asarray(picture).",
    "list": "Convert it with np.asarray.",
    "tuple": "Convert it with np.asarray.",
    "str": "Give the place of its name in `classes`.",
    "NoneType": "Where a label is missing, give -1 for a class and NaN for a number.",
}


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
        raise DataError(where, part, "a numpy array", type(value).__name__, ARRAYS.get(type(value).__name__, ""))
    return np.asarray(value)


def _check_image(image: Array, where: str) -> tuple[int, int]:
    if image.ndim != 3 or 0 in image.shape or _channels_first(image.shape):
        mend = "Of a grey image: image[:, :, None]." if image.ndim == 2 else ""
        mend = "Where channels come first: image.transpose(1, 2, 0)." if image.ndim == 3 and image.size else mend
        raise DataError(where, "image", "(height, width, channels), none of them 0", f"shape {image.shape}", mend)
    if image.dtype not in (np.uint8, np.float32):
        largest = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 255 if image.dtype.kind == "i" else 0
        mend = f"Give (image / {largest}).astype(np.float32)." if largest else "Give image.astype(np.float32)."
        raise DataError(where, "image", "uint8, or float32 in [0, 1]", image.dtype, mend)
    if image.dtype == np.float32:
        mend = "Divide 8-bit values by 255; a network subtracts mean values itself."
        _check_values(Verdict(image, (image >= 0) & (image <= 1), "finite and in [0, 1]"), (where, "image"), mend)
    return image.shape[0], image.shape[1]


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether a shape is that of an image whose channels come first: nobody has pictures 3 pixels high.

    One row of as many places as channels is such a shape, too: give a sequence as (places, 1, channels).
    """
    first, *rest = shape
    return min(rest) > 4 and (first in (3, 4) or (first == 1 and rest[0] == rest[1]))


def _check_target(target: Array, known: Field, size: tuple[int, int], part: tuple[str, str]) -> None:
    kind = KINDS[known.kind]
    shape = kind.shape(size, len(known.classes))
    if target.shape != shape:
        raise DataError(*part, f"of shape {shape}", f"shape {target.shape}")
    if not kind.stored_right(target):
        mend = f"Give target.astype({'int' if kind.whole else 'np.float32'})."
        if known.kind == "depth" and target.dtype.kind in "iu":
            mend = "Where it is in millimetres: (depth / 1000).astype(np.float32)."
        raise DataError(*part, kind.expected(len(known.classes)), target.dtype, mend)
    for found in kind.verdicts(target, len(known.classes), known.unit):
        _check_values(found, part, f"Mark what is not labelled as {kind.missing:g}.")


def _check_values(found: Verdict, part: tuple[str, str], mend: str) -> None:
    if found.right.all():
        return
    position = tuple(int(k) for k in np.argwhere(~found.right)[0])
    at = f" at {position}" if position else ""
    raise DataError(*part, found.expected, f"{found.values[position]:.6g}{at}", mend)
