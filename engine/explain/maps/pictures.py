"""Images, targets and predictions as arrays for a page to draw.

| kind             | target                         | prediction                                 |
|------------------|--------------------------------|--------------------------------------------|
| `segmentation`   | (K, H, W) int16, missing: -1   | (K, H, W) int16, the most probable class   |
| `edges`          | (K, H, W) int16, missing: -1   | (K, H, W) float16, probability             |
| `depth`          | (K, H, W) float16 [m], 0       | (K, H, W) float16 [m]                      |
| `normals`        | (K, H, W, 3) float16, zero     | (K, H, W, 3) float16, of length 1          |
| `classification` | (K,) int16, missing: -1        | (K, classes) float16, probabilities        |
| `multilabel`     | (K, labels) int16, missing: -1 | (K, labels) float16, probabilities         |
| `regression`     | (K,) float32 [unit], NaN       | (K,) float32 [unit]                        |
| `vector`         | (K, values) float32, NaN       | (K, values) float32 [unit]                 |
| `map`            | (K, H, W) float32 [unit], NaN  | (K, H, W) float32 [unit]                   |

Images with a side above the limit are reduced by a whole factor k: colours are averaged, maps take every k-th pixel.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from winnow.data.sample import Field

Array = NDArray[Any]
NUMBERS = ("regression", "vector", "map")


def factor(height: int, width: int, side: int) -> int:
    """Return the whole factor that reduces an image so that no side exceeds `side`."""
    return -(-max(height, width) // side)


def image_array(images: Tensor, by: int = 1) -> Array:
    """Return images (B, C, H, W) as uint8 (B, H, W, 1 or 3); other numbers of channels are averaged.

    0 is black and 1 is white; where values lie beyond, as in normalised images, the lowest and the highest are.
    """
    low, high = min(0.0, float(images.min())), max(1.0, float(images.max()))
    images = images if (low, high) == (0.0, 1.0) else (images - low) / (high - low)
    shown = images if images.shape[1] in (1, 3) else images.mean(1, keepdim=True)
    small = functional.avg_pool2d(shown.float(), by, ceil_mode=True) if by > 1 else shown
    return _array((small.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1))


def target_array(field: Field, values: Tensor, by: int = 1) -> Array:
    """Return targets in the form of the table above."""
    small = values[:, ::by, ::by] if field.dense else values
    if field.kind in NUMBERS:
        return _array(small.float())
    return _array(small.half() if field.kind in ("depth", "normals") else small.to(torch.int16))


def prediction_array(field: Field, values: Tensor, by: int = 1) -> Array:
    """Return raw outputs (B, outputs, H, W) or (B, outputs) in the form of the table above."""
    small = values[:, :, ::by, ::by] if field.dense else values
    if field.kind == "segmentation":
        return _array(small.argmax(1).to(torch.int16))
    if field.kind == "edges":
        return _array(small[:, 0].sigmoid().half())
    if field.kind == "normals":
        return _array(functional.normalize(small, dim=1).movedim(1, 3).half())
    if field.kind == "classification":
        return _array(small.softmax(1).half())
    if field.kind == "multilabel":
        return _array(small.sigmoid().half())
    if field.kind == "vector":
        return _array(small.float() * field.scale)
    return _array(small[:, 0].half() if field.kind == "depth" else small[:, 0].float() * field.scale)


def summed(maps: Tensor, by: int) -> Tensor:
    """Return maps (…, H, W) summed over squares of by × by pixels."""
    if by == 1:
        return maps
    flat = maps.flatten(0, -3)[:, None]
    small = functional.avg_pool2d(flat, by, ceil_mode=True, divisor_override=1)
    return small.reshape(*maps.shape[:-2], *small.shape[-2:])


def _array(tensor: Tensor) -> Array:
    found: Array = np.asarray(tensor.detach().cpu().contiguous().numpy())
    return found
