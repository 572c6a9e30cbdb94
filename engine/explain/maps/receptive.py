"""Which part of an image a position of a layer depends on, measured on the model itself."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.explain.maps.attributions import ChannelStatistics, site_maps
from winnow.engine.explain.relevance.probe import Probe, restricted
from winnow.engine.explain.relevance.sites import recorded

WINDOWS = 64  # bands of an image along a side that are looked at
Array = NDArray[Any]


def receptive_windows(probed: Probe, places: Mapping[str, Array]) -> dict[str, Array]:
    """Return the receptive field of places of maps: {layer: (…, 4)}, top, left, bottom, right [pixel], ends excluded.

    It is measured: NaN in a row of the image spreads to just what depends on that row, since 0 · NaN is NaN, so that
    weights and activations do not matter. Of a large image, WINDOWS bands along a side are looked at, and the window
    is a little too large, never too small, as where a fast convolution mixes neighbours. All zeros: nothing depends on
    the image there, or the model refuses such an image.

    Args:
        probed: the model.
        places: {layer: (…, 2)}: rows and columns in the maps of a layer.

    """
    first = next(iter(restricted(probed, images=1).batches())).images
    ends = []
    for axis in (2, 3):
        reached = _reached(probed, first, axis, list(places))
        if reached is None:
            return {layer: np.zeros((*own.shape[:-1], 4), np.int32) for layer, own in places.items()}
        ends.append(reached)
    rows, columns = ends
    windows = {}
    for layer, own in places.items():
        down, across = (_span(reached[layer], own, first.shape[axis]) for reached, axis in ((rows, 2), (columns, 3)))
        known = (down[..., 1] > down[..., 0]) & (across[..., 1] > across[..., 0])
        window = np.stack([down[..., 0], across[..., 0], down[..., 1], across[..., 1]], -1)
        windows[layer] = np.where(known[..., None], window, 0).astype(np.int32)
    return windows


@torch.no_grad()
def _reached(probed: Probe, image: Tensor, axis: int, layers: Sequence[str]) -> dict[str, Array] | None:
    """Return {layer: (bands, h, w)}: where a map becomes NaN if a band of the image along an axis is."""
    sites, bands = [probed.site(layer) for layer in layers], _bands(image.shape[axis])
    parts: dict[str, list[Array]] = {layer: [] for layer in layers}
    buffers = {name: value.clone() for name, value in probed.model.named_buffers()}  # an own model may keep means
    try:
        for low, high in bands:
            spoilt = image.clone()
            spoilt.narrow(axis, low, high - low).fill_(float("nan"))
            with recorded(sites) as kept:
                probed.model(spoilt)
            for site in sites:
                maps = site_maps(site, kept[site.name][0], range(site.channels))
                parts[site.name].append(maps.isnan().any(0)[0].cpu().numpy())
    except (RuntimeError, ValueError, ArithmeticError, AssertionError, TypeError):
        return None  # it looks at the values of the image and refuses these
    finally:
        for name, value in probed.model.named_buffers():
            value.copy_(buffers[name])
    return {layer: np.stack(own) for layer, own in parts.items()}


def _bands(length: int) -> list[tuple[int, int]]:
    ends = np.linspace(0, length, min(length, WINDOWS) + 1).astype(int)
    return [(int(low), int(high)) for low, high in pairwise(ends)]


def _span(reached: Array, places: Array, length: int) -> Array:
    """Return from which pixel to which a place depends on the image along one axis, (…, 2); 0, 0 where it does not."""
    bands, at = np.array(_bands(length)), reached[:, places[..., 0], places[..., 1]]
    first, last = at.argmax(0), len(bands) - 1 - at[::-1].argmax(0)
    span: Array = np.where(at.any(0)[..., None], np.stack([bands[first, 0], bands[last, 1]], -1), 0)
    return span


def top_places(seen: dict[str, ChannelStatistics]) -> dict[str, Array]:
    """Return where each channel is most active in its top images, (C, M, 2), of layers whose positions are a grid."""
    found = {}
    for layer, own in seen.items():
        if own.maps is not None and min(own.maps.shape[-2:]) > 1:
            flat = own.maps.reshape(*own.maps.shape[:2], -1).argmax(-1)
            found[layer] = np.stack(np.unravel_index(flat, own.maps.shape[-2:]), -1)
    return found
