"""The measure that agrees best with ablation: |Σ over positions of (a − μ_c) · ∂f_t/∂a|, per image.

To first order it is what putting a channel's mean in the place of the channel does to f on one image (Molchanov et
al., arXiv 1906.10771, with the mean in the place of zero). Positions are summed with their sign, as the ablation that
it stands for changes them all at once; what must not cancel are images, so that the absolute value comes before their
mean. `positions` takes the absolute value first: a channel that raises the loss here and lowers it there counts fully,
although it does little when it goes.

**One pass.** Σ (a − μ) g = Σ a g − μ Σ g, so that the mean need not be known before the pass: the two sums of each
image are kept until all images have been seen, those of `KEPT` images at most, in the place of a pass for the means.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from winnow.engine.explain.relevance.means import ChannelSums, Means, channel_means
from winnow.engine.explain.relevance.passes import Pass, passes
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.scores import Scores
from winnow.engine.explain.relevance.sites import Site

KEPT = 512  # images


def taylor(probe: Probe, means: Means | None, scores: Scores) -> None:
    """Add mean over images of |Σ over positions of (a − μ_c) ∂f_t/∂a| to the scores, for every site and task.

    Args:
        probe: the model, the images and what is explained.
        means: what stands for a missing channel, where it is known.
        scores: what takes them in.

    """
    if means is None and probe.settings.fill == "zero":
        means = channel_means(probe)
    sums, kept = ChannelSums(probe.sites), list[Tensor]()
    for passed in passes(probe):
        kept.append(passed.reduced(_sums, 2))
        if means is None:
            _take(sums, passed)
            if sum(map(len, kept)) > KEPT:
                means = channel_means(probe)
        if means is not None:
            _hand_on(kept, probe, means, scores)
    _hand_on(kept, probe, means or sums.means(), scores)


def positions(probe: Probe, means: Means, scores: Scores) -> None:
    """Add mean over images of Σ over positions of |(a − μ_c) ∂f_t/∂a| to the scores, for every site and task."""

    def absolute(site: Site, activation: Tensor, gradient: Tensor) -> Tensor:
        deviation = activation - site.shaped(means[site.name], activation)
        return site.per_channel(deviation.mul_(gradient).abs_()).sum(2, keepdim=True)

    for passed in passes(probe):
        scores.add(passed.reduced(absolute, 1)[..., 0].float().cpu().numpy())


def _sums(site: Site, activation: Tensor, gradient: Tensor) -> Tensor:
    """Return Σ a g and Σ g over positions, (B, channels, 2), in double precision: their difference may be small."""
    products = site.per_channel(activation * gradient).sum(2)
    return torch.stack([products, site.per_channel(gradient).sum(2)], 2).double()


@torch.no_grad()
def _take(sums: ChannelSums, passed: Pass) -> None:
    for site in passed.sites:
        for tensor in passed.kept[site.name]:
            sums.add(site, tensor)


def _hand_on(kept: list[Tensor], probe: Probe, means: Mapping[str, Tensor], scores: Scores) -> None:
    """Add what was kept to the scores, and keep it no longer."""
    if not kept:
        return
    mean = torch.cat([means[site.name] for site in probe.sites]).to(kept[0])
    for sums in kept:
        scores.add((sums[..., 0] - mean * sums[..., 1]).abs().float().cpu().numpy())
    kept.clear()
