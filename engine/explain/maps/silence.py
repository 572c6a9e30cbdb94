"""Spatial sparsity of whole layers: at every position, the share of a layer's living channels that are exactly 0.

A channel lives if the layer reads it with any weight that is not zero. Behind a ReLU a channel is 0 wherever nothing
activates it; at such a position it adds nothing to what the layer computes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.engine.explain.maps.attributions import site_maps
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site, recorded

Array = NDArray[Any]
FINEST = 64  # positions along a side of what is stored; finer maps are averaged


@dataclass
class _Sums:
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
    sums = {site.name: _Sums([place for place, lives in enumerate(site.alive()) if lives]) for site in probed.sites}
    sites = [site for site in probed.sites if sums[site.name].living]
    for batch in probed.batches():
        with recorded(sites) as kept:
            probed.model(batch.images)
        for site in sites:
            own = sums[site.name]
            own.add((site_maps(site, kept[site.name][0], own.living) == 0).float(), shown)
    arrays = {name: array for site in sites for name, array in _arrays(site, sums[site.name]).items()}
    return arrays, {site.name: len(sums[site.name].living) for site in probed.sites}


def _arrays(site: Site, own: _Sums) -> dict[str, Array]:
    by_channel = np.full(site.channels, np.nan, np.float32)
    by_channel[own.living] = (own.channels / own.images).cpu().numpy()
    return {
        f"silence.{site.name}": _coarse(own.places / (own.images * len(own.living))),
        f"silence_here.{site.name}": _coarse(torch.stack(own.shown)),
        f"silence_of.{site.name}": by_channel,
    }


def _coarse(shares: Tensor) -> Array:
    """Return shares (…, h, w) with at most FINEST positions along a side, averaged."""
    size = tuple(min(length, FINEST) for length in shares.shape[-2:])
    found = torch.nn.functional.adaptive_avg_pool2d(shares[None].float(), size)[0]
    return np.asarray(found.cpu().numpy(), np.float16)
