"""One forward and one backward per task, for all sites together: what the gradient methods of our own are made of.

The weights are frozen meanwhile, so that a backward costs only what the gradients of the activations do, half of a
training step's. Images do not meet in evaluation mode, so that the gradient of the sum over a batch is every image's
own. Each task's gradients are reduced before the next one's are asked for: only one set is in memory at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site, passing

Reduce = Callable[[Site, Tensor, Tensor], Tensor]  # (site, activation, gradient) → (B, channels, numbers)


@dataclass(frozen=True)
class Pass:
    """One batch: what passed each site, one tensor per call, and each task's value of every image, (B,)."""

    sites: Sequence[Site]
    kept: Mapping[str, list[Tensor]]
    values: Sequence[Tensor]

    def reduced(self, reduce: Reduce, numbers: int) -> Tensor:
        """Return `reduce` of every site and task, summed over a layer's calls: (B, tasks, cells, numbers)."""
        return torch.stack([self._of(place, reduce, numbers) for place in range(len(self.values))], 1)

    def _of(self, place: int, reduce: Reduce, numbers: int) -> Tensor:
        tensors = [tensor for site in self.sites for tensor in self.kept[site.name]]
        last = place == len(self.values) - 1
        grads = iter(torch.autograd.grad(self.values[place].sum(), tensors, retain_graph=not last, allow_unused=True))
        with torch.no_grad():
            parts = [self._at(site, grads, reduce, numbers) for site in self.sites]
            return torch.cat([part.to(self.values[place].device) for part in parts], 1)

    def _at(self, site: Site, grads: Iterator[Tensor | None], reduce: Reduce, numbers: int) -> Tensor:
        """Return the site's numbers: zeros where nothing depends on it."""
        images = len(self.values[0])
        calls = ((tensor, next(grads)) for tensor in self.kept[site.name])
        sums = [reduce(site, tensor, grad) for tensor, grad in calls if grad is not None]
        return torch.stack(sums).sum(0) if sums else torch.zeros(images, site.channels, numbers)


def passes(probe: Probe) -> Iterator[Pass]:
    """Yield one pass per chunk of images; its `reduced` is to be called once, before the next one is asked for."""
    with frozen_model(probe.model), torch.enable_grad():
        for batch in probe.batches():
            with passing(probe.sites) as kept:
                predictions = probe.model(batch.images)
            values = [
                objective.value(predictions[name], objective.freeze(predictions[name], batch.targets.get(name)))
                for name, objective in probe.objectives.items()
            ]
            yield Pass(probe.sites, kept, values)
