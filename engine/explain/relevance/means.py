"""The mean of every channel at every site, over images and positions: it replaces a channel that is removed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress

import torch
from torch import Tensor

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site

Means = Mapping[str, Tensor]


class _EnoughError(Exception):
    """All sites have been passed: the rest of the forward pass is not needed."""


class ChannelSums:
    """Sums of the activations at the sites, over images, positions and calls, in double precision."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._totals = {site.name: torch.zeros(site.channels, dtype=torch.float64) for site in sites}
        self._counts = dict.fromkeys(self._totals, 0)

    def add(self, site: Site, x: Tensor) -> None:
        """Add an activation at a site."""
        values = site.per_channel(x)
        self._totals[site.name] += values.sum(2).sum(0).double().cpu()
        self._counts[site.name] += values.shape[0] * values.shape[2]

    def means(self) -> dict[str, Tensor]:
        """Return the mean of every channel so far, (channels,) per site; zero at a site that was never passed."""
        return {name: (total / max(self._counts[name], 1)).float() for name, total in self._totals.items()}


class _Summing:
    """Sums the activations at the sites; ends a pass after its last site, once the number of calls is known."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sums = ChannelSums(sites)
        self.calls, self.expected = 0, 0

    def adding(self, site: Site) -> Callable[[Tensor], Tensor]:
        """Return a function that adds an activation at a site and returns it unchanged."""

        def add(x: Tensor) -> Tensor:
            self.sums.add(site, x)
            self.calls += 1
            if self.calls == self.expected:
                raise _EnoughError
            return x

        return add


@torch.no_grad()
def channel_means(probe: Probe) -> dict[str, Tensor]:
    """Return what replaces a removed channel, (channels,) per site: its mean, or zero, as the settings say.

    One pass without gradients; the heads do not run.
    """
    if probe.settings.fill == "zero":
        return {site.name: torch.zeros(site.channels) for site in probe.sites}
    summing = _Summing(probe.sites)
    with frozen_model(probe.model), ExitStack() as stack:
        for site in probe.sites:
            stack.enter_context(site.changing(summing.adding(site)))
        for batch in probe.batches():
            summing.calls = 0
            with suppress(_EnoughError):
                probe.model(batch.images)
            summing.expected = summing.calls
    return summing.sums.means()


def base_image(probe: Probe) -> Tensor:
    """Return the image where path methods start, (1, …): the mean colour everywhere, or black.

    Of what is no image (B, C, H, W), it is the mean over the samples.
    """
    total, count = torch.zeros(1, dtype=torch.float64), 0
    for batch in probe.batches():
        images = batch.images
        parts = images.flatten(2).movedim(2, 1).flatten(0, 1)[:, :, None, None] if images.dim() == 4 else images
        total = total + parts.double().sum(0, keepdim=True).cpu()
        count += len(parts)
    mean = total / max(count, 1)
    return (mean if probe.settings.fill == "mean" else torch.zeros_like(mean)).float()
