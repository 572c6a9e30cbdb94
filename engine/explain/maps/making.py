"""Everything that the maps of an explanation hold, from a probe and the channels that were chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.explain.maps.channels import Cells, Seen, looked_through, maps, stored
from winnow.engine.explain.maps.inputs import Explained, integrated_gradients, occlusion
from winnow.engine.explain.maps.pictures import factor, pictures, prediction, summed, target
from winnow.engine.explain.maps.store import packed
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import Means, base_image
from winnow.engine.explain.relevance.probe import Probe, narrowed
from winnow.engine.training.batches import Batch

Array = NDArray[Any]
Say = Callable[[str], None]
SMALL = 64  # side of a picture in the gallery [pixel]


@dataclass(frozen=True)
class SpatialSettings:
    """How much is stored, and how fine.

    images: how many are shown, the first ones. top: images per channel that drive it most. steps: points on the path of
    integrated gradients. patch: side of what is occluded [pixel]; an eighth of the image if not set. side: of a stored
    image, at most [pixel].

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
                raise ValueError(f"`{name}` should be at least 1. Found {value}.")


@dataclass(frozen=True)
class Spatial:
    """What `engine.explain.maps.store.write_spatial` takes: arrays by name, and the index."""

    arrays: dict[str, Array]
    index: dict[str, Any]


def spatial(
    asked: Probe, cells: Cells, means: Means, settings: SpatialSettings | None = None, say: Say = lambda _: None
) -> Spatial:
    """Return the maps of the chosen channels and of the tasks, as `engine.explain.maps.store` describes them.

    Args:
        asked: the model, the images to look through and what is explained; its sites include the layers of `cells`.
        cells: {layer: channels}, as `engine.explain.maps.choosing.top_cells` gives them.
        means: what stands for a missing channel, of `engine.explain.relevance.means.channel_means`.
        settings: how many images, how fine.
        say: is told what comes next, before it does; may raise to end the work.

    Raises:
        ValueError: a layer or a channel that the probe does not have.

    """
    check_cells(asked, cells)
    settings = settings or SpatialSettings()
    shown = _first(asked, settings.images)
    with frozen_model(asked.model):
        say("what drives the channels")
        seen = looked_through(asked, cells, settings.top)
        say("maps of the channels")
        arrays = {
            name: array
            for layer, activation, reliance in maps(asked, shown, cells, means)
            for name, array in stored(layer, seen[layer], activation, reliance).items()
        }
        by = factor(shown.images.shape[-2], shown.images.shape[-1], settings.side)
        arrays |= _attributed(asked, shown, settings, by, say)
    arrays |= {"images": pictures(shown.images, by)}
    arrays |= _gallery(asked, seen)
    return Spatial(arrays, _index(asked, shown, cells, seen, settings))


def check_cells(asked: Probe, cells: Cells) -> None:
    """Raise `ValueError` where a layer or a channel is none of the probe's."""
    widths = {site.name: site.channels for site in asked.sites}
    for layer, channels in cells.items():
        if layer not in widths:
            raise ValueError(f"`cells` should lie in {', '.join(widths)}. Found layer {layer!r}.")
        if not channels or min(channels) < 0 or max(channels) >= widths[layer] or len(set(channels)) < len(channels):
            raise ValueError(f"`cells` should name channels 0 to {widths[layer] - 1} of {layer}. Found {channels}.")


def _first(asked: Probe, count: int) -> Batch:
    parts = list(narrowed(asked, images=count).batches())
    targets = {name: torch.cat([part.targets[name] for part in parts]) for name in parts[0].targets}
    return Batch(torch.cat([part.images for part in parts]), targets)


def _attributed(asked: Probe, shown: Batch, settings: SpatialSettings, by: int, say: Say) -> dict[str, Array]:
    """Return the attributions to pixels, with targets and predictions, of the shown images."""
    explained, base = Explained(asked, shown), base_image(asked).to(shown.images)
    say("integrated gradients")
    found = integrated_gradients(explained, shown.images, base, settings.steps)
    say("occlusion")
    hidden = occlusion(explained, shown.images, base, _patch(shown, settings))
    arrays = {"difference": _array(found.difference), "residual": _array(found.residual)}
    for name, values in (("integrated_gradients", summed(found.pixels, by)), ("occlusion", hidden)):
        arrays[name], arrays[f"{name}_peak"] = packed(_array(values), (2, 3))
    for name, objective in asked.objectives.items():
        if (field := getattr(objective.task, "field", None)) is None:
            continue
        arrays[f"prediction.{name}"] = prediction(field, explained.predictions[name], by)
        if name in shown.targets:
            arrays[f"target.{name}"] = target(field, shown.targets[name], by)
    return arrays


def _patch(shown: Batch, settings: SpatialSettings) -> int:
    return settings.patch or max(1, max(shown.images.shape[-2:]) // 8)


def _gallery(asked: Probe, seen: dict[str, Seen]) -> dict[str, Array]:
    """Return the top images of all channels, each once, reduced."""
    wanted = sorted({int(number) for own in seen.values() if own.best is not None for number in own.best.ravel()})
    found, first = [], 0
    for batch in asked.batches():
        own = [number - first for number in wanted if first <= number < first + len(batch.images)]
        by = factor(batch.images.shape[-2], batch.images.shape[-1], SMALL)
        found += [pictures(batch.images[own], by)] if own else []
        first += len(batch.images)
    return {"gallery": np.concatenate(found), "gallery_of": np.array(wanted, np.int32)} if found else {}


def _index(
    asked: Probe, shown: Batch, cells: Cells, seen: dict[str, Seen], settings: SpatialSettings
) -> dict[str, Any]:
    height, width = shown.images.shape[-2:]
    fields = {name: getattr(objective.task, "field", None) for name, objective in asked.objectives.items()}
    return {
        "of": asked.settings.of,
        "base": asked.settings.fill,
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
