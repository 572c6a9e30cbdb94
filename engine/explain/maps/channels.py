"""Maps of chosen channels on the shown images, and their statistics over all images.

Two passes: one without gradients over all images, to find where a channel is silent and which images activate it most;
one with a backward pass per task over the shown images, for the maps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.explain.maps.store import packed
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site, recorded
from winnow.engine.training.batches import Batch

Array = NDArray[Any]
Cells = Mapping[str, tuple[int, ...]]


@dataclass
class ChannelStatistics:
    """One layer's chosen channels over all images: mean and max (C, N), maps of the top M images, counts of silence."""

    top: int
    means: list[Array] = field(default_factory=list)
    maxima: list[Array] = field(default_factory=list)
    silent: Array = field(default_factory=lambda: np.zeros(()))
    best: Array | None = None  # (C, M) images, best first
    scores: Array | None = None
    maps: Array | None = None  # (C, M, h, w)

    def add(self, values: Array, first: int) -> None:
        """Add activations (C, B, h, w) of the images from number `first` on."""
        means = values.mean((2, 3))
        self.means.append(means)
        self.maxima.append(values.max((2, 3)))
        self.silent = self.silent + (values == 0).sum(1)
        numbers = np.broadcast_to(np.arange(first, first + values.shape[1]), means.shape)
        if self.best is not None and self.scores is not None and self.maps is not None:
            numbers = np.concatenate([self.best, numbers], 1)
            means = np.concatenate([self.scores, means], 1)
            values = np.concatenate([self.maps, values], 1)
        order = np.argsort(-means, axis=1, kind="stable")[:, : self.top]
        self.best, self.scores = (np.take_along_axis(part, order, 1) for part in (numbers, means))
        self.maps = np.take_along_axis(values, order[:, :, None, None], 1)

    @property
    def images(self) -> int:
        """The number of images so far."""
        return sum(part.shape[1] for part in self.means)


@torch.no_grad()
def channel_statistics(asked: Probe, cells: Cells, top: int) -> dict[str, ChannelStatistics]:
    """Return the statistics of the channels over all images of the probe, on a frozen model."""
    found = {layer: ChannelStatistics(top) for layer in cells}
    sites, first = [asked.site(layer) for layer in cells], 0
    for batch in asked.batches():
        with recorded(sites) as kept:
            asked.model(batch.images)
        for site in sites:
            found[site.name].add(_numpy(_maps(site, kept[site.name][0], cells[site.name])), first)
        first += len(batch.images)
    return found


def channel_maps(asked: Probe, batch: Batch, cells: Cells, means: Means) -> Iterator[tuple[str, Array, Array]]:
    """Yield (layer, activation (C, B, h, w), reliance (C, T, B, h, w)) for the images of a batch."""
    sites = [asked.site(layer) for layer in cells]
    with torch.enable_grad(), recorded(sites) as kept:
        given = asked.model(batch.images)
    tensors = [kept[site.name][0] for site in sites]
    grads = []
    for place, (name, objective) in enumerate(asked.objectives.items()):
        value = objective.value(given[name], objective.freeze(given[name], batch.targets.get(name))).sum()
        more = place < len(asked.objectives) - 1
        grads.append(torch.autograd.grad(value, tensors, retain_graph=more, allow_unused=True))
    for place, site in enumerate(sites):
        tensor, chosen = tensors[place].detach(), cells[site.name]
        away = tensor - site.shaped(means[site.name], tensor)
        own = [torch.zeros_like(tensor) if of[place] is None else of[place] for of in grads]
        reliance = torch.stack([_maps(site, (away * grad).abs(), chosen) for grad in own], 1)
        yield site.name, _numpy(_maps(site, tensor, chosen)), _numpy(reliance)


def layer_arrays(layer: str, seen: ChannelStatistics, activation: Array, reliance: Array) -> dict[str, Array]:
    """Return a layer's arrays as `engine.explain.maps.store` names them."""
    assembled = np.concatenate([activation, seen.maps], 1) if seen.maps is not None else activation
    units, peak = packed(assembled, (1, 2, 3))
    shown = activation.shape[1]
    relied, relied_peak = packed(reliance, (2, 3, 4))
    return {
        f"activation.{layer}": units[:, :shown],
        f"activation_peak.{layer}": peak,
        f"silent.{layer}": np.asarray(seen.silent / max(seen.images, 1), np.float16),
        f"silent_here.{layer}": (activation == 0).astype(np.uint8),
        f"reliance.{layer}": relied,
        f"reliance_peak.{layer}": relied_peak,
        f"mean.{layer}": np.concatenate(seen.means, 1).astype(np.float32),
        f"max.{layer}": np.concatenate(seen.maxima, 1).astype(np.float32),
        f"top.{layer}": np.asarray(seen.best, np.int32),
        f"top_activation.{layer}": units[:, shown:],
    }


def _maps(site: Site, values: Tensor, chosen: tuple[int, ...]) -> Tensor:
    """Return the chosen channels of (B, …, channels, …) as (C, B, h, w); with fewer spatial dimensions h is 1."""
    own = values.movedim(site.dim, 0)[list(chosen)]
    return own if own.dim() == 4 else own.flatten(2)[:, :, None] if own.dim() > 2 else own[:, :, None, None]


def _numpy(tensor: Tensor) -> Array:
    found: Array = tensor.detach().float().cpu().numpy()
    return found
