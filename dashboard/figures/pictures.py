"""Images, targets, predictions and maps over them as pictures: uint8 arrays (H, W, 3), for `st.image`.

A picture of 64 pixels is enlarged by whole factors, so that a pixel stays a pixel. What is missing is mid grey. Maps
over an image (activation, attribution) are laid on its grey copy: where a map is 0 the image shows, where it is largest
only the map's colour does, so that dark and bright images can be compared.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.colors import hex_to_rgb

from winnow.dashboard.figures.style import CIVIDIS
from winnow.data.sample import Field

Picture = NDArray[np.uint8]
Array = NDArray[Any]
MISSING = np.array([128, 132, 149], np.uint8)
LEAST = 256  # px: the side to which a small picture is enlarged
HEAT = ("#123570", "#2F8AA6", "#FEE838")  # of a map, over a grey image
BRIGHT = 0.995  # quantile of a map over the shown images from which on it is at its brightest
DENSE = ("segmentation", "depth", "normals", "edges", "map")


def image(values: Array) -> Picture:
    """Return an image (H, W, 1 or 3), uint8 or in [0, 1], as a picture."""
    shown = values if values.dtype == np.uint8 else np.clip(255 * values, 0, 255).round().astype(np.uint8)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown[:, :, :3]


def cropped(picture: Array, window: Array, size: tuple[int, ...]) -> Array | None:
    """Return the part of a reduced picture (h, w, colours) in a window [pixel of the original of `size`].

    None where the window is empty, as where it is not known.
    """
    by = -(-max(size) // max(picture.shape[:2]))
    top, left = (int(end) // by for end in window[:2])
    bottom, right = (-(-int(end) // by) for end in window[2:])
    part = picture[top:bottom, left:right]
    return part if part.size and window[2] > window[0] and window[3] > window[1] else None


def dense(values: Array, field: Field, extent: tuple[float, float] | None = None) -> Picture:
    """Return the values of a field at every pixel as a picture.

    Classes have colours of their own, depth and maps are on cividis between `extent` (its own ends by default), a
    normal's three components are red, green and blue, edges are white.
    """
    if field.kind == "segmentation":
        return np.where((values >= 0)[:, :, None], palette(len(field.classes))[np.maximum(values, 0)], MISSING)
    if field.kind == "depth":
        return _scaled(values, values > 0, extent)
    if field.kind == "map":
        return _scaled(np.nan_to_num(values), ~np.isnan(values), extent)
    if field.kind == "normals":
        known = np.abs(values).sum(axis=2, keepdims=True) > 0
        return np.where(known, np.clip(127.5 * (values + 1), 0, 255).round().astype(np.uint8), MISSING)
    grey = np.clip(255 * values, 0, 255).astype(np.uint8)
    return np.where((values >= 0)[:, :, None], np.repeat(grey[:, :, None], 3, axis=2), MISSING)


def known_pixels(values: Array, field: Field) -> Array:
    """Return where the values of a dense field are known, (H, W) bool: where not, `dense` draws mid grey."""
    if field.kind == "map":
        return np.asarray(~np.isnan(values))
    if field.kind == "normals":
        return np.asarray(np.abs(values).sum(axis=2) > 0)
    return np.asarray(values > 0 if field.kind == "depth" else values >= 0)


def map_scale(width: int = 260, height: int = 12) -> Picture:
    """Return the colours of a map from nothing to its largest value, over mid grey."""
    ramp = np.tile(np.linspace(0, 1, width), (height, 1))
    return overlaid(np.full((height, width, 3), 128, np.uint8), ramp, 1.0)


def overlaid(picture: Picture, values: Array, largest: float) -> Picture:
    """Return a map (h, w) of values from 0 to `largest` over the grey copy of a picture (H, W, 3)."""
    strength = np.clip(resized(values, picture.shape[:2]) / (largest or 1.0), 0, 1)[:, :, None]
    grey = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2) * 0.8 + 25
    return np.asarray((1 - strength**0.7) * grey + strength**0.7 * _colours(strength[:, :, 0], HEAT), np.uint8)


def over(picture: Picture, values: Array, place: int) -> Picture:
    """Return one of some maps (K, h, w) ≥ 0 over its picture, on the scale of all of them."""
    return overlaid(picture, values[place], largest_of(values))


def largest_of(values: Array) -> float:
    """Return the value from which on maps ≥ 0 are at their brightest, on the scale of all of them."""
    return float(np.quantile(values, BRIGHT)) or float(values.max())


def struck(picture: Picture, where: Array) -> Picture:
    """Return a picture with grey strokes where a mask (h, w) holds: there a channel is silent."""
    mask = resized(where.astype(np.float32), picture.shape[:2]) > 0.5
    rows, columns = np.indices(mask.shape)
    stroke = ((rows + columns) // max(1, picture.shape[0] // 64)) % 4 == 0
    dimmed = np.where(mask[:, :, None], picture // 2 + 32, picture)
    return np.where((mask & stroke)[:, :, None], MISSING, dimmed).astype(np.uint8)


def resized(values: Array, shape: tuple[int, ...]) -> Array:
    """Return a map (h, w) at another size, each place with the value of the nearest position."""
    rows = np.minimum((np.arange(shape[0]) + 0.5) * values.shape[0] / shape[0], values.shape[0] - 1).astype(int)
    columns = np.minimum((np.arange(shape[1]) + 0.5) * values.shape[1] / shape[1], values.shape[1] - 1).astype(int)
    found: Array = values[rows][:, columns]
    return found


def enlarged(picture: Picture, least: int = LEAST) -> Picture:
    """Return a picture enlarged by a whole factor, so that its smaller side is at least about `least` pixels."""
    factor = max(1, round(least / min(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def extent_of(values: list[Array], kind: str) -> tuple[float, float] | None:
    """Return the least and largest known value of all: a depth of 0, a NaN of a map is none. None of other fields."""
    if kind not in ("depth", "map"):
        return None
    known = np.concatenate([value[~np.isnan(value) if kind == "map" else value > 0].astype(float) for value in values])
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _scaled(values: Array, known: Array, extent: tuple[float, float] | None) -> Picture:
    low, high = extent or ((float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0))
    place = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    return np.where(known[:, :, None], _colours(place, CIVIDIS).astype(np.uint8), MISSING)


def _colours(place: Array, stops: tuple[str, ...]) -> Array:
    """Return colours (H, W, 3) of places in [0, 1] on a scale of evenly spaced stops."""
    known = np.array([hex_to_rgb(stop) for stop in stops], np.float32)
    at = np.linspace(0, 1, len(known))
    return np.stack([np.interp(place, at, known[:, channel]) for channel in range(3)], axis=2)


def palette(count: int) -> Picture:
    """Return colours of classes, (count, 3): evenly spaced hues, every other one darker."""
    turns = np.arange(max(count, 1))[:, None] / max(count, 1)
    waves = 0.55 + 0.4 * np.cos(2 * np.pi * (turns - np.arange(3) / 3))
    waves[1::2] *= 0.65
    return np.asarray(255 * waves, np.uint8)
