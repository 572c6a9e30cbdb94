"""Small files in the true formats, for the tests of what reads them."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 32)


def generator(number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def image_of(number: int, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    values = generator(number).integers(0, 256, (*size, channels), np.uint8)
    return values if channels > 1 else values[:, :, 0]


def normals_of(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return unit vectors, of which the first row is missing."""
    vectors = generator(number).normal(size=(*size, 3))
    vectors[:, :, 2] = -np.abs(vectors[:, :, 2]) - 0.2
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[0] = 0
    return vectors


def depth_of(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return metres, of which the first row is missing."""
    depth = generator(number).uniform(0.7, 8, size)
    depth[0] = 0
    return depth


def save(path: Path, values: np.ndarray, **options: object) -> Path:
    """Write an array as .npy, or as the picture that the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values, allow_pickle=False)
    else:
        Image.fromarray(values).save(path, **options)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
