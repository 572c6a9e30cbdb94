"""All maps of an explanation, from a probe and the chosen channels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.explain.maps.attributions import (
    Cells,
    ChannelStatistics,
    Explained,
    channel_maps,
    channel_statistics,
    integrated_gradients,
    layer_arrays,
    layer_silence,
    occlusion,
    site_maps,
)
from winnow.engine.explain.maps.pictures import factor, image_array, prediction_array, summed, target_array
from winnow.engine.explain.maps.store import packed
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import Means, base_image
from winnow.engine.explain.relevance.probe import Probe, restricted
from winnow.engine.explain.relevance.sites import recorded
from winnow.engine.training.batches import Batch

Array = NDArray[Any]
Say = Callable[[str], None]
SMALL = 64  # side of a picture in the gallery [pixel]
BANDS = 16  # of them at once
WINDOWS = 64  # bands of an image along a side in which a receptive field is looked for


@dataclass(frozen=True)
class SpatialSettings:
    """How much is stored, and how fine.

    images: how many are shown, the first ones. top: how many of the images that activate a channel most. steps: points
    on the path of integrated gradients. patch: side of an occluded patch [pixel], by default an eighth of the image.
    side: the longest side of a stored image [pixel].

    Raises:
        ValueError: a number below 1.

    """

    images: int = 8
    top: int = 6
    steps: int = 16
    patch: int | None = None
    side: int = 128

    def __post_init__(self) -> None:
        for name in ("images", "top", "steps", "patch", "side"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")


@dataclass(frozen=True)
class Spatial:
    """What `engine.explain.maps.store.write_spatial` writes: arrays by name, and the index."""

    arrays: dict[str, Array]
    index: dict[str, Any]


def spatial(
    probed: Probe, cells: Cells, means: Means, settings: SpatialSettings | None = None, say: Say = lambda _: None
) -> Spatial:
    """Return the maps of the chosen channels and of the tasks, as `engine.explain.maps.store` describes them.

    Args:
        probed: the model, its images and objectives; its sites include the layers of `cells`.
        cells: {layer: channels}, as `top_cells` gives them.
        means: what replaces a removed channel, from `engine.explain.relevance.means.channel_means`.
        settings: how many images, how fine.
        say: called with each phase before it begins; it may raise to end the work.

    Raises:
        ValueError: a layer or a channel that the probe does not have.

    """
    check_cells(probed, cells)
    settings = settings or SpatialSettings()
    shown = _first(probed, settings.images)
    with frozen_model(probed.model):
        say("finding the images that activate each channel")
        seen = channel_statistics(probed, cells, settings.top)
        say("making maps of the channels")
        arrays = {
            name: array
            for layer, activation, reliance in channel_maps(probed, shown, cells, means)
            for name, array in layer_arrays(layer, seen[layer], activation, reliance).items()
        }
        say("measuring where each layer is silent")
        silent, living = layer_silence(probed, settings.images)
        arrays |= silent
        say("measuring receptive fields")
        places = _top_places(seen)
        arrays |= {f"top_window.{layer}": own for layer, own in receptive_windows(probed, places).items() if places}
        by = factor(shown.images.shape[-2], shown.images.shape[-1], settings.side)
        arrays |= _attributed(probed, shown, settings, by, say)
    arrays |= {"images": image_array(shown.images, by)}
    arrays |= _gallery(probed, seen)
    return Spatial(arrays, _index(probed, shown, cells, seen, settings) | {"living": living})


def top_cells(
    relevance: pd.DataFrame, per_task: int = 12, layers: Sequence[str] | None = None
) -> dict[str, tuple[int, ...]]:
    """Return {layer: channels}: in each layer the channels with the most relevance for each task, without dead ones.

    Args:
        relevance: a frame of `engine.explain.relevance.relevance`, by one method.
        per_task: how many channels for each task; a channel may be chosen for several.
        layers: by default the last one of the frame, the features that the heads read.

    Raises:
        ValueError: fewer than one channel, or a layer that the frame does not have.

    """
    if per_task < 1:
        raise ValueError(f"`per_task` must be at least 1, got {per_task}.")
    known = list(dict.fromkeys(relevance["layer"]))
    wanted = known[-1:] if layers is None else list(layers)
    if unknown := [layer for layer in wanted if layer not in known]:
        raise ValueError(f"`layers` must be layers of the frame, {', '.join(known)}, got {', '.join(unknown)}.")
    found = {}
    for layer in wanted:
        own = relevance[(relevance["layer"] == layer) & (relevance["relevance"] > 0)]
        best = own.sort_values("relevance", ascending=False, kind="stable").groupby("task", sort=False).head(per_task)
        found[layer] = tuple(sorted({int(channel) for channel in best["channel"]}))
    return {layer: channels for layer, channels in found.items() if channels}


def check_cells(probed: Probe, cells: Cells) -> None:
    """Raise `ValueError` for a layer or a channel that the probe does not have."""
    widths = {site.name: site.channels for site in probed.sites}
    for layer, channels in cells.items():
        if layer not in widths:
            raise ValueError(f"`cells` must be in layers {', '.join(widths)}, got layer {layer!r}.")
        if not channels or min(channels) < 0 or max(channels) >= widths[layer] or len(set(channels)) < len(channels):
            raise ValueError(f"`cells` must name channels 0 to {widths[layer] - 1} of {layer}, got {channels}.")


def _first(probed: Probe, count: int) -> Batch:
    parts = list(restricted(probed, images=count).batches())
    targets = {name: torch.cat([part.targets[name] for part in parts]) for name in parts[0].targets}
    return Batch(torch.cat([part.images for part in parts]), targets)


def _attributed(probed: Probe, shown: Batch, settings: SpatialSettings, by: int, say: Say) -> dict[str, Array]:
    """Return the attributions to pixels of the shown images, with targets and predictions."""
    explained, base = Explained(probed, shown), base_image(probed).to(shown.images)
    say("integrated gradients")
    found = integrated_gradients(explained, shown.images, base, settings.steps)
    say("occlusion")
    hidden = occlusion(explained, shown.images, base, _patch(shown, settings))
    arrays = {"difference": _array(found.difference), "residual": _array(found.residual)}
    for name, values in (("integrated_gradients", summed(found.pixels, by)), ("occlusion", hidden)):
        arrays[name], arrays[f"{name}_peak"] = packed(_array(values), (2, 3))
    for name, objective in probed.objectives.items():
        if (field := getattr(objective.task, "field", None)) is None:
            continue
        arrays[f"prediction.{name}"] = prediction_array(field, explained.predictions[name], by)
        if name in shown.targets:
            arrays[f"target.{name}"] = target_array(field, shown.targets[name], by)
    return arrays


def _patch(shown: Batch, settings: SpatialSettings) -> int:
    return settings.patch or max(1, max(shown.images.shape[-2:]) // 8)


def _gallery(probed: Probe, seen: dict[str, ChannelStatistics]) -> dict[str, Array]:
    """Return the top images of all channels, each once and small."""
    wanted = sorted({int(number) for own in seen.values() if own.best is not None for number in own.best.ravel()})
    found, first = [], 0
    for batch in probed.batches():
        own = [number - first for number in wanted if first <= number < first + len(batch.images)]
        by = factor(batch.images.shape[-2], batch.images.shape[-1], SMALL)
        found += [image_array(batch.images[own], by)] if own else []
        first += len(batch.images)
    return {"gallery": np.concatenate(found), "gallery_of": np.array(wanted, np.int32)} if found else {}


def _index(
    probed: Probe, shown: Batch, cells: Cells, seen: dict[str, ChannelStatistics], settings: SpatialSettings
) -> dict[str, Any]:
    height, width = shown.images.shape[-2:]
    fields = {name: getattr(objective.task, "field", None) for name, objective in probed.objectives.items()}
    return {
        "of": probed.settings.of,
        "base": probed.settings.fill,
        "images": list(range(len(shown.images))),
        "looked_at": next((own.images for own in islice(seen.values(), 1)), 0),
        "size": [height, width],
        "tasks": {
            name: {"kind": own.kind, "classes": list(own.classes), "unit": own.unit} if own else {}
            for name, own in fields.items()
        },
        "layers": {layer: list(channels) for layer, channels in cells.items()},
        "patch": _patch(shown, settings),
        "steps": settings.steps,
    }


def _array(tensor: Tensor) -> Array:
    found: Array = tensor.detach().float().cpu().numpy()
    return found


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
        known = np.asarray((down[..., 1] > down[..., 0]) & (across[..., 1] > across[..., 0]))
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
        for first in range(0, len(bands), BANDS):
            some = bands[first : first + BANDS]
            spoilt = image.repeat(len(some), 1, 1, 1)
            for one, (low, high) in zip(spoilt, some, strict=True):
                one.narrow(axis - 1, low, high - low).fill_(float("nan"))
            with recorded(sites) as kept:
                probed.model(spoilt)
            for site in sites:
                maps = site_maps(site, kept[site.name][0], range(site.channels))
                parts[site.name].append(maps.isnan().any(0).cpu().numpy())
    except (RuntimeError, ValueError, ArithmeticError, AssertionError, TypeError):
        return None  # it looks at the values of the image and refuses these
    finally:
        for name, value in probed.model.named_buffers():
            value.copy_(buffers[name])
    return {layer: np.concatenate(own) for layer, own in parts.items()}


def _bands(length: int) -> list[tuple[int, int]]:
    ends = np.linspace(0, length, min(length, WINDOWS) + 1).astype(int)
    return [(int(low), int(high)) for low, high in pairwise(ends)]


def _span(reached: Array, places: Array, length: int) -> Array:
    """Return from which pixel to which a place depends on the image along one axis, (…, 2); 0, 0 where it does not."""
    bands, at = np.array(_bands(length)), reached[:, places[..., 0], places[..., 1]]
    first, last = at.argmax(0), len(bands) - 1 - at[::-1].argmax(0)
    span: Array = np.where(np.asarray(at.any(0))[..., None], np.stack([bands[first, 0], bands[last, 1]], -1), 0)
    return span


def _top_places(seen: dict[str, ChannelStatistics]) -> dict[str, Array]:
    """Return where each channel is most active in its top images, (C, M, 2), of layers whose positions are a grid."""
    found = {}
    for layer, own in seen.items():
        if own.maps is not None and min(own.maps.shape[-2:]) > 1:
            flat = own.maps.reshape(*own.maps.shape[:2], -1).argmax(-1)
            found[layer] = np.stack(np.unravel_index(flat, own.maps.shape[-2:]), -1)
    return found
