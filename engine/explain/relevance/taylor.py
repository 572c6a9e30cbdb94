"""The gradient methods of our own; `taylor` agrees best with ablation: |Σ over positions of (a − μ_c) · ∂f_t/∂a|.

To first order it is the change of f on one image when a channel is replaced by its mean (Molchanov et al., arXiv
1906.10771, with the mean in the place of zero). Positions are summed with their sign, because the ablation changes them
all at once. Images must not cancel, so the absolute value is taken before the mean over images. `positions` takes the
absolute value at each position: a channel that raises the loss at one position and lowers it at another counts fully,
although removing it changes little.

**One pass.** Σ (a − μ) g = Σ a g − μ Σ g, so the mean need not be known before the pass: the two sums of each image are
kept until all images have been seen. Beyond `KEPT` images the means are measured in a pass of their own.

**Gradients.** One forward and one backward pass per task, for all sites together. The weights are frozen, so that a
backward pass costs half of a training step's. In evaluation mode images do not influence one another, so the gradient
of a sum over a batch is every image's own. Each task's gradients are reduced before the next task's are computed: only
one set is in memory at a time.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import ChannelSums, Means, channel_means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.refusals import NotAttributableError
from winnow.engine.explain.relevance.scores import Scores
from winnow.engine.explain.relevance.sites import Site, recorded

KEPT = 512  # images
ROUTED = (
    "`layers` must name layers that every image goes through, got `{}`, which saw {} of {} images, as an expert "
    "that images are sent to. Name the others as `layers`."
)
Reduce = Callable[[Site, Tensor, Tensor], Tensor]  # (site, activation, gradient) → (B, channels, numbers)


@dataclass(frozen=True)
class Pass:
    """One batch: the activations at each site, one tensor per call, and each task's value of every image, (B,)."""

    sites: Sequence[Site]
    kept: Mapping[str, list[Tensor]]
    values: Sequence[Tensor]

    def reduced(self, reduce: Reduce, numbers: int) -> Tensor:
        """Return `reduce` of every site and task, summed over a layer's calls: (B, tasks, cells, numbers)."""
        return torch.stack([self._of(place, reduce, numbers) for place in range(len(self.values))], 1)

    def _of(self, place: int, reduce: Reduce, numbers: int) -> Tensor:
        tensors = [tensor for site in self.sites for tensor in self.kept[site.name] if tensor.requires_grad]
        last = place == len(self.values) - 1
        total = self.values[place].sum()
        grads: Iterator[Tensor | None] = iter([None] * len(tensors))  # where no layer makes the output
        if tensors and total.requires_grad:
            grads = iter(torch.autograd.grad(total, tensors, retain_graph=not last, allow_unused=True))
        with torch.no_grad():
            parts = [self._at(site, grads, reduce, numbers) for site in self.sites]
            return torch.cat([part.to(self.values[place].device) for part in parts], 1)

    def _at(self, site: Site, grads: Iterator[Tensor | None], reduce: Reduce, numbers: int) -> Tensor:
        """Return the site's numbers; zeros where no task depends on it."""
        images = len(self.values[0])
        calls = ((tensor, next(grads)) for tensor in self.kept[site.name] if tensor.requires_grad)
        sums = [reduce(site, tensor, grad) for tensor, grad in calls if grad is not None]
        if other := [len(part) for part in sums if len(part) != images]:
            raise NotAttributableError(ROUTED.format(site.name, other[0], images))
        return torch.stack(sums).sum(0) if sums else torch.zeros(images, site.channels, numbers)


def passes(probe: Probe) -> Generator[Pass]:
    """Yield one pass per chunk of images; call its `reduced` once, before you take the next pass.

    Close it (`contextlib.closing`), however the work ends: the model is held until then.
    """
    with frozen_model(probe.model) as state, torch.enable_grad():
        for batch in probe.batches():
            with recorded(probe.sites) as kept:
                predictions = probe.model(batch.images)
            values = [
                objective.value(predictions[name], objective.freeze(predictions[name], batch.targets.get(name)))
                for name, objective in probe.objectives.items()
            ]
            yield Pass(probe.sites, kept, values)
            state.restore()  # once the backward passes are done: what they read may be what is put back


def taylor(probe: Probe, means: Means | None, scores: Scores) -> None:
    """Add mean over images of |Σ over positions of (a − μ_c) ∂f_t/∂a| to the scores, for every site and task.

    Args:
        probe: the model, the images and what is explained.
        means: what replaces a removed channel, if it is known already.
        scores: what they are added to.

    """
    if means is None and probe.settings.fill == "zero":
        means = channel_means(probe)
    sums, kept = ChannelSums(probe.sites), list[Tensor]()
    with closing(passes(probe)) as all_passes:
        for passed in all_passes:
            kept.append(passed.reduced(_sums, 2))
            if means is None:
                _add_activations(sums, passed)
                if sum(map(len, kept)) > KEPT:
                    means = channel_means(probe)
            if means is not None:
                _add(kept, probe, means, scores)
    _add(kept, probe, means or sums.means(), scores)


def positions(probe: Probe, means: Means, scores: Scores) -> None:
    """Add mean over images of Σ over positions of |(a − μ_c) ∂f_t/∂a| to the scores, for every site and task."""

    def absolute(site: Site, activation: Tensor, gradient: Tensor) -> Tensor:
        deviation = activation - site.shaped(means[site.name], activation)
        return site.per_channel(deviation.mul_(gradient).abs_()).sum(2, keepdim=True)

    with closing(passes(probe)) as all_passes:
        for passed in all_passes:
            scores.add(passed.reduced(absolute, 1)[..., 0].float().cpu().numpy())


def _sums(site: Site, activation: Tensor, gradient: Tensor) -> Tensor:
    """Return Σ a g and Σ g over positions, (B, channels, 2), in double precision: their difference may be small."""
    products = site.per_channel(activation * gradient).sum(2)
    return torch.stack([products, site.per_channel(gradient).sum(2)], 2).double()


@torch.no_grad()
def _add_activations(sums: ChannelSums, passed: Pass) -> None:
    for site in passed.sites:
        for tensor in passed.kept[site.name]:
            sums.add(site, tensor)


def _add(kept: list[Tensor], probe: Probe, means: Mapping[str, Tensor], scores: Scores) -> None:
    """Add the kept sums to the scores, and empty the list."""
    if not kept:
        return
    mean = torch.cat([means[site.name] for site in probe.sites]).to(kept[0])
    for sums in kept:
        scores.add((sums[..., 0] - mean * sums[..., 1]).abs().float().cpu().numpy())
    kept.clear()
