"""The maps of an explanation, computed on a frozen model.

**Channels** (`channel_statistics`, `channel_maps`): one pass without gradients over all images, to find where a channel
is silent and which images activate it most, and one with a backward pass per task over the shown images.

**Layers** (`layer_silence`): at every position, the share of a layer's living channels that are exactly 0. A channel
lives if the layer reads it with any weight that is not zero. Behind a ReLU a channel is 0 wherever nothing activates
it; at such a position it adds nothing to what the layer computes.

**Pixels** (`integrated_gradients`, `occlusion`), for the same objectives as relevance:

    integrated gradients   (x − x') ∫₀¹ ∂f/∂x(x' + α(x − x')) dα, summed over colours
    occlusion              f(x) − f(x with one patch in the base's colours)

x' is the base image (the mean colours or black). The integral is a Gauss–Legendre sum, exact where f is a polynomial
along the path; the residual is what the sum over pixels lacks of f(x) − f(x').

Sources: Sundararajan et al., arXiv 1703.01365; Zeiler and Fergus, 1311.2901.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.explain.maps.store import packed
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe, restricted
from winnow.engine.explain.relevance.sites import Site, recorded
from winnow.engine.training.batches import Batch

Array = NDArray[Any]
Cells = Mapping[str, tuple[int, ...]]
MOST = 256  # images of which it is asked what channels separate
FINEST = 64  # positions along a side of what is stored; finer maps are averaged


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
def channel_statistics(probed: Probe, cells: Cells, top: int) -> dict[str, ChannelStatistics]:
    """Return the statistics of the channels over all images of the probe, on a frozen model."""
    found = {layer: ChannelStatistics(top) for layer in cells}
    sites, first = [probed.site(layer) for layer in cells], 0
    for batch in probed.batches():
        with recorded(sites) as kept:
            probed.model(batch.images)
        for site in sites:
            found[site.name].add(_numpy(site_maps(site, kept[site.name][0], cells[site.name])), first)
        first += len(batch.images)
    return found


@torch.no_grad()
def channel_answers(probed: Probe, cells: Cells) -> tuple[dict[str, tuple[tuple[int, ...], Array]], dict[str, Array]]:
    """Return what channels answer to each image, for `engine.explain.separation`, and the targets of the tasks.

    {layer: (channels, (C, N, h, w))} with at most FINEST positions along a side, a layer that reads no whole images
    left out, and {task: (N, …)}; over at most MOST images, the first ones.
    """
    sites, targets = [probed.site(layer) for layer in cells], dict[str, list[Array]]()
    found: dict[str, list[Array]] = {layer: [] for layer in cells}
    with frozen_model(probed.model):
        for batch in restricted(probed, images=min(probed.settings.images or MOST, MOST)).batches():
            with recorded(sites) as kept:
                probed.model(batch.images)
            own = {site.name: site_maps(site, kept[site.name][0], cells[site.name]) for site in sites}
            for layer, values in own.items():
                found[layer] += [_thinned(values)] if values.shape[1] == len(batch.images) else []
            for name, values in batch.targets.items():
                targets.setdefault(name, []).append(values.cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in targets.items()}
    return {layer: (cells[layer], np.concatenate(parts, 1)) for layer, parts in found.items() if parts}, joined


def _thinned(maps: Tensor) -> Array:
    """Return maps (C, B, h, w) at few positions."""
    rows, columns = (_every(length) for length in maps.shape[-2:])
    return _numpy(maps[:, :, rows][..., columns])


def _every(length: int) -> list[int]:
    """Return at most FINEST places along a side, in the middles of equal parts."""
    wanted = min(length, FINEST)
    return [int((place + 0.5) * length / wanted) for place in range(wanted)]


def channel_maps(probed: Probe, batch: Batch, cells: Cells, means: Means) -> Iterator[tuple[str, Array, Array]]:
    """Yield (layer, activation (C, B, h, w), reliance (C, T, B, h, w)) for the images of a batch."""
    sites = [probed.site(layer) for layer in cells]
    with torch.enable_grad(), recorded(sites) as kept:
        given = probed.model(batch.images)
    tensors = [kept[site.name][0] for site in sites]
    grads = []
    for place, (name, objective) in enumerate(probed.objectives.items()):
        value = objective.value(given[name], objective.freeze(given[name], batch.targets.get(name))).sum()
        more = place < len(probed.objectives) - 1
        grads.append(torch.autograd.grad(value, tensors, retain_graph=more, allow_unused=True))
    for place, site in enumerate(sites):
        tensor, chosen = tensors[place].detach(), cells[site.name]
        away = tensor - site.shaped(means[site.name], tensor)
        own = [torch.zeros_like(tensor) if of[place] is None else of[place] for of in grads]
        reliance = torch.stack([site_maps(site, (away * grad).abs(), chosen) for grad in own], 1)
        yield site.name, _numpy(site_maps(site, tensor, chosen)), _numpy(reliance)


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


def site_maps(site: Site, values: Tensor, chosen: Sequence[int]) -> Tensor:
    """Return the chosen channels of a site's tensor as (C, B, h, w); h is 1 unless its positions are a grid."""
    own = site.per_channel(values).movedim(1, 0)[list(chosen)]
    places = {axis % values.dim() for axis in (site.layout.images, site.layout.channels)}
    grid = [length for axis, length in enumerate(values.shape) if axis not in places]
    return own.reshape(*own.shape[:2], *(grid if len(grid) == 2 and site.layout.each == 1 else (1, -1)))


def _numpy(tensor: Tensor) -> Array:
    found: Array = tensor.detach().float().cpu().numpy()
    return found


@dataclass(frozen=True)
class Integrated:
    """Attributions (T, B, H, W); f(x) − f(base), and what the sum over the pixels lacks of it, (T, B)."""

    pixels: Tensor
    difference: Tensor
    residual: Tensor


class Explained:
    """The objectives of some images: each task as one number per image, with its frozen part."""

    def __init__(self, probed: Probe, batch: Batch) -> None:
        self._probed = probed
        with torch.no_grad():
            given = probed.model(batch.images)
        self._frozen = {
            name: objective.freeze(given[name], batch.targets.get(name))
            for name, objective in probed.objectives.items()
        }
        self.predictions: Mapping[str, Tensor] = given

    def values(self, images: Tensor) -> Tensor:
        """Return the numbers of images that are variants of the given ones, (T, B)."""
        given = self._probed.model(images)
        objectives = self._probed.objectives
        return torch.stack([objectives[name].value(given[name], self._frozen[name]) for name in objectives])


def integrated_gradients(explained: Explained, images: Tensor, base: Tensor, steps: int) -> Integrated:
    """Return the integrated gradients of images (B, C, H, W) from a base (1, C, 1, 1), on a frozen model."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    away = images - base
    sums: list[Tensor] = []
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (base + float(node) * away).requires_grad_()
        with torch.enable_grad():
            values = explained.values(point).sum(1)
        rows = [
            torch.autograd.grad(value, point, retain_graph=place < len(values) - 1, allow_unused=True)[0]
            for place, value in enumerate(values)
        ]
        part = torch.stack([torch.zeros_like(point) if row is None else row for row in rows]).detach()
        sums = [part * float(weight) if not sums else sums[0] + part * float(weight)]
    pixels = (sums[0] * away).sum(2)
    with torch.no_grad():
        difference = explained.values(images) - explained.values(base.expand_as(images))
    return Integrated(pixels, difference, difference - pixels.sum((2, 3)))


@torch.no_grad()
def occlusion(explained: Explained, images: Tensor, base: Tensor, patch: int) -> Tensor:
    """Return f(x) − f(x without a patch) for patches side by side, (T, B, ⌈H/patch⌉, ⌈W/patch⌉)."""
    whole = explained.values(images)
    rows, columns = (len(range(0, side, patch)) for side in images.shape[-2:])
    parts = [whole - explained.values(hidden) for hidden in _hidden(images, base, patch)]
    return torch.stack(parts, 2).reshape(*whole.shape, rows, columns)


def _hidden(images: Tensor, base: Tensor, patch: int) -> Iterator[Tensor]:
    height, width = images.shape[-2:]
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            found = images.clone()
            found[:, :, top : top + patch, left : left + patch] = base
            yield found


@dataclass
class _Silence:
    """Counts of zeros of one layer's living channels: by position (h, w), by channel (C,), of the shown images."""

    living: list[int]
    images: int = 0
    places: Tensor = field(default_factory=lambda: torch.zeros(()))
    channels: Tensor = field(default_factory=lambda: torch.zeros(()))
    shown: list[Tensor] = field(default_factory=list)

    def add(self, silent: Tensor, most: int) -> None:
        """Add where channels are silent, (C, B, h, w) of 0 and 1."""
        self.places = self.places + silent.sum((0, 1), dtype=torch.float64)
        self.channels = self.channels + silent.mean((2, 3), dtype=torch.float64).sum(1)
        here = most - self.images
        if here > 0:
            self.shown += list(silent[:, :here].mean(0, dtype=torch.float32))
        self.images += silent.shape[1]


@torch.no_grad()
def layer_silence(probed: Probe, shown: int) -> tuple[dict[str, Array], dict[str, int]]:
    """Return the silence of every layer of a probe, on a frozen model, and how many of its channels live.

    Arrays by name, as `engine.explain.maps.store` describes them: `silence.<layer>` (h, w), the mean over all images;
    `silence_here.<layer>` (K, h, w), of the first `shown` images; `silence_of.<layer>` (C,), the share of all positions
    and images at which each channel is silent, NaN for a dead one. A layer without a living channel has none.
    """
    sums = {site.name: _Silence([place for place, lives in enumerate(site.alive()) if lives]) for site in probed.sites}
    sites = [site for site in probed.sites if sums[site.name].living]
    for batch in probed.batches():
        with recorded(sites) as kept:
            probed.model(batch.images)
        for site in sites:
            own = sums[site.name]
            own.add((site_maps(site, kept[site.name][0], own.living) == 0).float(), shown)
    arrays = {name: array for site in sites for name, array in _silence_arrays(site, sums[site.name]).items()}
    return arrays, {site.name: len(sums[site.name].living) for site in probed.sites}


def _silence_arrays(site: Site, own: _Silence) -> dict[str, Array]:
    by_channel = np.full(site.channels, np.nan, np.float32)
    by_channel[own.living] = (own.channels / own.images).cpu().numpy()
    return {
        f"silence.{site.name}": _coarse(own.places / (own.images * len(own.living))),
        f"silence_here.{site.name}": _coarse(torch.stack(own.shown)),
        f"silence_of.{site.name}": by_channel,
    }


def _coarse(shares: Tensor) -> Array:
    """Return shares (…, h, w) with at most FINEST positions along a side, averaged."""
    height, width = (min(length, FINEST) for length in shares.shape[-2:])
    found = torch.nn.functional.adaptive_avg_pool2d(shares[None].float(), (height, width))[0]
    return np.asarray(found.cpu().numpy(), np.float16)
