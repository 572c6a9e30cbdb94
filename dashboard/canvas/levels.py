"""Norms as one byte a group: what a browser needs to paint a map, a quarter of what float32 takes.

    0              dead, exactly zero
    1 … 127        alive, the norm on a log scale from `low` to `high`
    129 … 255      the same, near the threshold (128 added)

A whole path of 41 networks of 64 layers × 512 channels is 1.34 MB, 1.79 MB as text. A level is within 4 % of its norm
where the scale spans two decades; the numbers themselves are in the CSV.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.engine.runs.norm_log import Layer

STEPS = 126
NEAR_BIT = 128


@dataclass(frozen=True)
class Scale:
    """The norms at the two ends of the colours; what lies beyond gets the colour of the end."""

    low: float
    high: float


def scale_of(norms: NDArray[np.float32]) -> Scale:
    """Return the scale of all living norms: from that which 2 % of them stay below to the largest."""
    living = norms[norms > 0]
    return Scale(float(np.quantile(living, 0.02)), float(living.max())) if living.size else Scale(1.0, 1.0)


def levels(norms: NDArray[np.float32], near: NDArray[np.bool_], scale: Scale) -> NDArray[np.uint8]:
    """Return the level of each norm; `near` has the shape of `norms`."""
    span = max(np.log(scale.high / scale.low), 1e-9)
    with np.errstate(divide="ignore"):
        place = (np.log(norms) - np.log(scale.low)) / span
    shade = 1 + np.rint(STEPS * np.clip(place, 0, 1))
    return np.where(norms > 0, shade + NEAR_BIT * near, 0).astype(np.uint8)


def maps_of(layers: Sequence[Layer], noun: str, ends: tuple[float, float]) -> dict[str, Any]:
    """Return what canvas/report.js needs of one map of these layers, without its `labels` and `levels`."""
    return {
        "layers": [layer.name for layer in layers],
        "counts": [layer.groups for layer in layers],
        "titles": [""],
        "palettes": ["norm"],
        "first": 0,
        "noun": noun,
        "low": ends[0],
        "high": ends[1],
    }


def text(values: NDArray[np.uint8]) -> str:
    """Return bytes as the base64 text that the browser reads."""
    return base64.b64encode(values.tobytes()).decode("ascii")
