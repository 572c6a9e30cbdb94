"""Parts of images enlarged to the size of the whole, with targets that remain true.

The result is what a camera of the same focal length would see of a scene that is s times nearer along its axis: points
(X, Y, Z) go to (X, Y, Z/s). So depths are divided by s, and normals n become (n_x, n_y, s n_z), scaled to length 1. The
principal point moves with the part that is cut out. Usual recipes divide the depth and leave the normals as they are;
then the two contradict each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine.specs.train import ZOOMED


@dataclass(frozen=True)
class Window:
    """A part of an image: its first row and column, its rows and columns."""

    top: int
    left: int
    rows: int
    columns: int

    def factor(self, height: int, width: int) -> float:
        """Return s, by which the part is enlarged; a part has nearly the proportions of the image."""
        return float((height * width / (self.rows * self.columns)) ** 0.5)


def window_at(height: int, width: int, factor: float, place: tuple[float, float]) -> Window:
    """Return the part of 1/factor of each side whose corner is at `place`, from 0 to 1 of where it may be."""
    rows, columns = (max(1, round(side / factor)) for side in (height, width))
    top, left = int(place[0] * (height - rows + 1)), int(place[1] * (width - columns + 1))
    return Window(min(top, height - rows), min(left, width - columns), rows, columns)


def zoomed_image(image: Tensor, part: Window) -> Tensor:
    """Return a part of an image (C, H, W) at its size, bilinear."""
    cut = image[:, part.top : part.top + part.rows, part.left : part.left + part.columns]
    size = list(image.shape[1:])
    return functional.interpolate(cut[None], size=size, mode="bilinear", align_corners=False)[0]


def zoomed_target(target: Tensor, field: Field, part: Window) -> Tensor:
    """Return a part of a dense target (H, W, …) at its size, each pixel the nearest one.

    Raises:
        ValueError: it is not known what nearness does to targets of this kind.

    """
    if field.kind not in ZOOMED:
        raise ValueError(f"`zoom` must be 1 for a task of kind {field.kind}, got a larger one.")
    height, width = target.shape[:2]
    rows, columns = (
        first + ((torch.arange(new, device=target.device) + 0.5) * old / new).long().clamp(max=old - 1)
        for first, old, new in ((part.top, part.rows, height), (part.left, part.columns, width))
    )
    near, factor = target[rows[:, None], columns], part.factor(height, width)
    if field.kind == "depth":
        return near / factor
    if field.kind == "normals":
        return functional.normalize(near * near.new_tensor([1.0, 1.0, factor]), dim=2)
    return near


def zoomed(
    images: Tensor, targets: Mapping[str, Tensor], fields: Mapping[str, Field], parts: list[Window]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images (B, C, H, W) and their dense targets (B, H, W, …), a part of each enlarged."""
    near = torch.stack([zoomed_image(image, part) for image, part in zip(images, parts, strict=True)])
    moved = {
        name: torch.stack([zoomed_target(own, fields[name], part) for own, part in zip(target, parts, strict=True)])
        for name, target in targets.items()
    }
    return near.contiguous(memory_format=torch.channels_last), moved
