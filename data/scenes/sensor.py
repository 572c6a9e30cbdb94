"""What a depth sensor and an annotator leave out.

Depth is exact where it is given and missing (0)

- in the stripe left of a nearer surface that the pattern projector, `BASELINE` metres to the right of the camera,
  cannot reach: column − f b / depth must rise along a row;
- on glass, black or shiny surfaces and at grazing angles, at random, in blotches;
- nearer than `NEAREST` and beyond `FARTHEST` metres.

Labels are missing (−1) in blotches along the outlines of objects, and on a border that is `BORDER` of the side wide on
average and differs between sides and scenes, as where the frames of two cameras do not quite cover each other. Both
together leave some 4 % of the pixels unlabelled.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from winnow.data.scenes.camera import Camera, Floats
from winnow.data.scenes.labels import UNLABELLED
from winnow.data.scenes.scene import Solids
from winnow.data.scenes.visibility import Surface

BASELINE = 0.06
NEAREST, FARTHEST = 0.35, 7.5
BORDER = 0.0065


def missing_depth(
    camera: Camera, surface: Surface, solids: Solids, colour: Floats, generator: Generator
) -> NDArray[np.bool_]:
    """Return where (S, S) the sensor measures nothing."""
    view = surface.view
    facing = -(surface.normal * view).sum(0) / np.sqrt((view * view).sum(0))
    gloss = solids.gloss[surface.ids]
    glass = np.where(gloss > 0.9, np.float32(0.62), np.clip(gloss - np.float32(0.4), 0, 1) * np.float32(0.5))
    dark = np.clip(1 - colour.max(0) * np.float32(30), 0, 1) * np.float32(0.5)
    grazing = np.clip(np.float32(0.2) - facing, 0, 1) * np.float32(3)
    lost = _blotches(generator, view.shape[1]) < glass + dark + grazing + np.float32(0.003)
    beyond = (surface.depth < NEAREST) | (surface.depth > FARTHEST)
    values: NDArray[np.bool_] = lost | beyond | _unlit(camera, surface.depth)
    return values


def missing_labels(edges: NDArray[np.int64], generator: Generator) -> NDArray[np.bool_]:
    """Return where (S, S) the annotator left no label."""
    size = edges.shape[0]
    out = (edges > 0) & (_blotches(generator, size) < 0.11)
    top, bottom, left, right = np.floor(BORDER * size + generator.random(4)).astype(int).tolist()
    inner = np.zeros((size, size), np.bool_)
    inner[top : size - bottom, left : size - right] = True
    return out | ~inner


def labels(surface: Surface, solids: Solids, missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the label map (S, S)."""
    return np.where(missing, UNLABELLED, solids.label[surface.ids]).astype(np.int64)


def _unlit(camera: Camera, depth: Floats) -> NDArray[np.bool_]:
    size = depth.shape[1]
    focal = size / (2 * camera.spread)
    column = np.arange(size, dtype=np.float32) - np.float32(focal * BASELINE) / depth
    nearest = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return column > nearest + np.float32(0.25)


def _blotches(generator: Generator, size: int) -> Floats:
    """Return numbers in (0, 1), about uniform, that neighbours share in part."""
    noise = generator.random((size + 1, size + 1), dtype=np.float32)
    mean = (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 4
    return 1 / (1 + np.exp((mean - np.float32(0.5)) * np.float32(-1.702 / 0.1443)))
