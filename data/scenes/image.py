"""From light to a photograph: lens, exposure, tone curve, shot and read noise, eight bits.

The lens spreads each pixel a little over its neighbours, which also softens the stairs along edges. Exposure brings
the mean to a random level around middle grey, as an automatic camera does; the curve x / (x + ½) · 3/2, cut at 1,
keeps windows from burning out; the variance of the noise is a x + b.
"""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from winnow.data.scenes.camera import Floats

SHOULDER = np.float32(1.1)
MEAN, SPREAD = np.float32(4 * 127.5), np.float32(math.sqrt(4 * (256**2 - 1) / 12))  # of the sum of four random bytes


def photograph(light: Floats, generator: Generator) -> NDArray[np.uint8]:
    """Return the picture (S, S, 3), uint8 sRGB, of this light (3, S, S)."""
    level, red, blue, grain, fall = generator.random(5).tolist()
    light = _lens(light)
    exposure = np.float32(0.2 + 0.14 * level) / (np.minimum(light, 3 * light.mean()).mean() + np.float32(1e-6))
    balance = np.array([0.94 + 0.12 * red, 1.0, 0.94 + 0.12 * blue], np.float32)[:, None, None]
    x = light * (balance * exposure) * _vignette(light.shape[1], 0.25 * fall)
    x = np.clip(x * (1 + SHOULDER * np.float32(0.45)) / (1 + SHOULDER * x), 0, 1)
    x = np.sqrt(x)
    x += _noise(generator, x.shape) * np.sqrt(x * np.float32(1.6e-4) + np.float32(2e-5)) * np.float32(0.4 + 1.2 * grain)
    values: NDArray[np.uint8] = (np.clip(x, 0, 1).transpose(1, 2, 0) * np.float32(255) + np.float32(0.5)).astype(
        np.uint8
    )
    return values


def _noise(generator: Generator, shape: tuple[int, ...]) -> Floats:
    """Return noise of mean 0 and variance 1, bell-shaped: sums of four random bytes, a third of the cost of normals."""
    total = np.frombuffer(generator.bytes(4 * math.prod(shape)), np.uint8).reshape(4, *shape).sum(0, np.uint16)
    values: Floats = (total - MEAN) / SPREAD
    return values


def _lens(light: Floats) -> Floats:
    side, middle = np.float32(0.12), np.float32(0.76)
    padded = np.concatenate([light[:, :1], light, light[:, -1:]], 1)
    light = padded[:, 1:-1] * middle + (padded[:, :-2] + padded[:, 2:]) * side
    padded = np.concatenate([light[:, :, :1], light, light[:, :, -1:]], 2)
    blurred: Floats = padded[:, :, 1:-1] * middle + (padded[:, :, :-2] + padded[:, :, 2:]) * side
    return blurred


def _vignette(size: int, strength: float) -> Floats:
    ramp = ((2 * np.arange(size, dtype=np.float32) + 1) / size - 1) ** 2
    return 1 - np.float32(strength / 2) * (ramp[:, None] + ramp)
