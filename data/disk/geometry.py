"""What happens to targets when an image is resized, cropped, mirrored or zoomed into.

Classes, distances and directions are never blended: they take the nearest pixel. Images are averaged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from winnow.data.kinds import KINDS
from winnow.data.sample import Array, DataError, Field, Sample

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Frame:
    """How images come to one size: `size` (None: as they are), and whether they are first cropped to its proportions.

    Neither changes a distance or a direction: the camera sees the same scene, or the middle of it.
    """

    size: Size | None = None
    crop: bool = False

    def of_image(self, image: Array) -> Array:
        """Return an image (H, W, C) in this frame, averaged where it shrinks."""
        return image if self.size is None else resized_image(self._cut(image), self.size)

    def of_target(self, values: Array) -> Array:
        """Return a dense target (H, W, …) in this frame, each pixel the nearest one."""
        return values if self.size is None else nearest_pixels(self._cut(values), self.size)

    def _cut(self, values: Array) -> Array:
        if not self.crop or self.size is None:
            return values
        height, width = values.shape[:2]
        scale = min(height / self.size[0], width / self.size[1])
        rows, columns = (max(1, round(scale * side)) for side in self.size)
        top, left = (height - rows) // 2, (width - columns) // 2
        return values[top : top + rows, left : left + columns]


def resized_image(image: Array, size: Size) -> Array:
    """Return an image (H, W, C), uint8 or float32, at another size: bilinear, over the whole footprint of a pixel."""
    if image.shape[:2] == size:
        return image
    kind, top = ("L", 255.0) if image.dtype == np.uint8 else ("F", 1.0)
    planes = [Image.fromarray(np.ascontiguousarray(plane), kind) for plane in np.moveaxis(image, 2, 0)]
    small = [np.asarray(plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)) for plane in planes]
    resized: Array = np.clip(np.stack(small, axis=2), 0, top).astype(image.dtype)
    return resized


def nearest_pixels(values: Array, size: Size) -> Array:
    """Return (H, W, …) at another size: the value at the pixel that holds the centre of the new one."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in zip(size, values.shape[:2], strict=True)
    )
    return np.ascontiguousarray(values[rows[:, None], columns])


def mirrored(sample: Sample, fields: Mapping[str, Field]) -> Sample:
    """Return a sample left to right; the x component of normals changes its sign."""

    def mirror(name: str, values: Array) -> Array:
        if not fields[name].dense:
            return values
        flipped = values[:, ::-1]
        return flipped * np.array([-1, 1, 1], values.dtype) if fields[name].kind == "normals" else flipped

    targets = {name: np.ascontiguousarray(mirror(name, sample.targets[name])) for name in fields}
    return Sample(np.ascontiguousarray(sample.image[:, ::-1]), targets)


def zoomed(sample: Sample, fields: Mapping[str, Field], factor: float, corner: Size = (0, 0)) -> Sample:
    """Return a part of an image, 1/factor of each side from `corner` on, at the size of the whole.

    The result is what the same camera would see of the scene brought `factor` times nearer along its axis: depths are
    divided by the factor, and normals n become (n_x, n_y, factor n_z), scaled to length 1. Common recipes divide the
    depth and leave the normals as they are; then depth and normals contradict each other.

    Raises:
        ValueError: the factor is below 1, or the part does not lie in the image.

    """
    height, width = sample.image.shape[:2]
    rows, columns = round(height / factor), round(width / factor)
    if factor < 1 or not (0 <= corner[0] <= height - rows and 0 <= corner[1] <= width - columns):
        raise ValueError(f"`corner` must leave {rows} × {columns} pixels, with `factor` ≥ 1, got {corner}, {factor}.")
    part = (slice(corner[0], corner[0] + rows), slice(corner[1], corner[1] + columns))
    targets = {}
    for name, field in fields.items():
        values = sample.targets[name]
        targets[name] = _nearer(nearest_pixels(values[part], (height, width)), field, factor) if field.dense else values
    return Sample(resized_image(sample.image[part], (height, width)), targets)


def _nearer(values: Array, field: Field, factor: float) -> Array:
    if field.kind == "depth":
        return (values / factor).astype(values.dtype)
    if field.kind != "normals":
        return values
    stretched = values * np.array([1, 1, factor], values.dtype)
    length = np.sqrt(np.square(stretched, dtype=np.float64).sum(-1, keepdims=True))
    return np.where(length > 0, stretched / np.maximum(length, 1e-12), 0).astype(values.dtype)


def require_size(values: Array, size: Size, field: Field, where: tuple[str, str]) -> None:
    """Raise `DataError` unless a dense target is as large as its image."""
    if values.shape != KINDS[field.kind].shape(size):
        swapped = values.shape[:2] == size[::-1] and size[0] != size[1]
        mend = "Height and width are swapped." if swapped else "Image and target must show the same pixels."
        expected = f"of the size of its image, {KINDS[field.kind].shape(size)}"
        raise DataError(*where, expected, values.shape, mend)
