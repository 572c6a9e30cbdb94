"""Edges from channel to channel, cut and scored: how much each carries of what a task has learned.

An edge (layer, n, m) is what output channel n of a layer reads of its input channel m. Cut, it passes the mean of m over
the images in the place of m, in this output alone. With a factor k for every edge,

    z_n = Σ_m k_nm (W_nm ∗ a_m) + (1 − k_nm) (W_nm ∗ ā_m) + b_n,

k = 1 is the network and k = 0 cuts everything. The score of an edge for task t is the mean over `POINTS` points s of
∂L_t/∂k_nm at k = s, with its sign: integrated gradients from the cut network to the whole one (edge attribution with
integrated gradients, Hanna, Pezzelle & Belinkov 2024, arXiv 2403.17806; to first order at k = 1 it is edge attribution
patching, Syed, Rager & Conmy 2023, arXiv 2310.10348). The scores of all edges add up to L_t(whole) − L_t(cut), so what
an edge saves is minus its score. At k = 1 alone there is nothing to see: scaling an edge scales a weight, and where
training has converged the loss does not change with any weight.

One backward pass of a task gives the scores of all edges of all layers, since ∂L/∂k_nm = Σ W_nm ∂L/∂(k W)_nm.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site
from winnow.engine.graph.modes import calling, evaluating, modules_called, requiring_grad

POINTS = (0.25, 0.75)
Factors = Mapping[str, Tensor]  # {layer: (outputs, inputs of a group)}
READERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def readers(sites: Sequence[Site]) -> tuple[Site, ...]:
    """Return the sites whose layer is a linear layer or a convolution of torch, called as one."""
    return tuple(
        site
        for site in sites
        if site.end == "input" and site.read_by is None
        and any(isinstance(site.module, kind) and type(site.module).forward is kind.forward for kind in READERS)
    )  # fmt: skip


def every_edge(sites: Sequence[Site], value: float = 1.0) -> dict[str, Tensor]:
    """Return a factor for each edge, (outputs, inputs of a group) per layer."""
    return {site.name: torch.full(weight_of(site).shape[:2], value, device=weight_of(site).device) for site in sites}


def weight_of(site: Site) -> Tensor:
    """Return the weight of the layer that reads at a site."""
    return site.module.get_parameter("weight")


@contextmanager
def cutting(model: nn.Module, sites: Sequence[Site], means: Means, factors: Factors) -> Iterator[None]:
    """Let every edge pass its factor of what it reads, and the mean for the rest, for a while."""
    with ExitStack() as held:
        for context in (evaluating(model), modules_called(), requiring_grad(model.parameters(), wanted=False)):
            held.enter_context(context)
        for site in sites:
            held.enter_context(calling(site.module, _partly(site, means[site.name], factors[site.name])))
        yield


def edge_scores(probe: Probe, sites: Sequence[Site], means: Means) -> dict[str, dict[str, Tensor]]:
    """Return {task: {layer: (outputs, inputs of a group)}}, the scores on the probe's images, mean over them."""
    names = list(probe.objectives)
    totals = {task: every_edge(sites, 0.0) for task in names}
    images = 0
    for point in POINTS:
        factors = {name: own.requires_grad_() for name, own in every_edge(sites, point).items()}
        for batch in probe.batches():
            images += len(batch.images)
            with cutting(probe.model, sites, means, factors), torch.enable_grad():
                values = task_losses(probe, batch, probe.model(batch.images))
                for place, task in enumerate(names):
                    wanted = torch.autograd.grad(
                        values[task].sum(), list(factors.values()), retain_graph=place < len(names) - 1,
                        allow_unused=True, materialize_grads=True,
                    )  # fmt: skip
                    for layer, own in zip(factors, wanted, strict=True):
                        totals[task][layer] += own
    return {task: {layer: own / images for layer, own in layers.items()} for task, layers in totals.items()}


def task_losses(probe: Probe, batch: Any, predictions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the loss of every image for every task, (B,)."""
    found = {}
    for name, objective in probe.objectives.items():
        losses = objective.losses
        target = losses.freeze(predictions[name], batch.targets.get(name))
        found[name] = losses.value(predictions[name], target)
    return found


def _partly(site: Site, mean: Tensor, factor: Tensor) -> Callable[[Tensor], Tensor]:
    layer: Any = site.module
    weight = weight_of(site)
    shaped = factor.view(*factor.shape, *[1] * (weight.dim() - 2))

    def forward(x: Tensor) -> Tensor:
        constant = site.shaped(mean, x)
        if isinstance(layer, nn.Linear):
            kept = nn.functional.linear(x, weight * shaped, layer.bias)
            return kept + nn.functional.linear(constant, weight * (1 - shaped))
        rest = layer._conv_forward(constant.expand(1, -1, *x.shape[2:]), weight * (1 - shaped), None)
        result: Tensor = layer._conv_forward(x, weight * shaped, layer.bias) + rest
        return result

    return forward
