"""What happens to targets when an image is resized or cropped; neither changes a distance or a direction.

Classes, distances and directions are never blended: they take the nearest pixel. Images are averaged.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from winnow.data.kinds import KINDS
from winnow.data.sample import Array, DataError, Field

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


def require_size(values: Array, size: Size, field: Field, where: tuple[str, str]) -> None:
    """Raise `DataError` unless a dense target is as large as its image."""
    if values.shape != KINDS[field.kind].shape(size):
        swapped = values.shape[:2] == size[::-1] and size[0] != size[1]
        mend = "Height and width are swapped." if swapped else "Image and target must show the same pixels."
        expected = f"of the size of its image, {KINDS[field.kind].shape(size)}"
        raise DataError(*where, expected, values.shape, mend)
