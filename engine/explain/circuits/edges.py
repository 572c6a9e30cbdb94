"""Edges from channel to channel, cut and scored: how much each carries of what a task has learned.

An edge (layer, n, m) is what output channel n of a layer reads of its input channel m, through the slice W[n, m] of the
layer's weight. Cut, it passes the mean μ_m of the channel over the images and positions in the place of the channel, in
this output alone. With a factor k for every edge,

    z_n = Σ_m k_nm W_nm ∗ (a_m − μ_m) + c_n,    c_n = b_n + Σ_m W_nm ∗ μ_m,

k = 1 is the network and k = 0 cuts everything; c does not depend on k, and the padding of a convolution is treated
alike in both. The score of an edge for task t at a point s is ∂L_t/∂k_nm at k = s, and L_t the mean loss of an image:
edge attribution patching (Syed, Rager & Conmy 2023, arXiv 2310.10348; channel to channel as in arXiv 2404.14349), taken
between cut and whole (integrated gradients: Hanna, Pezzelle & Belinkov 2024, arXiv 2403.17806). At k = 1 alone there is
nothing to see: scaling an edge scales a weight, and where training has converged no weight changes the loss.

One backward pass of a task gives the scores of all edges of all layers, since ∂L/∂k_nm = Σ W_nm ∂L/∂(k W)_nm.
An edge whose slice is exactly zero carries nothing and is none. Residual paths are no edges: they stay as they are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from winnow.engine.explain.relevance.frozen_model import (
    LAYERS,
    applied,
    channel_axis,
    folded_pairs,
    folded_weights,
    frozen_model,
    read_inputs,
)
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site
from winnow.engine.graph.modes import calling
from winnow.engine.training.batches import Batch

Factors = Mapping[str, Tensor]  # {layer: (outputs, inputs of a group)}


def why_no_edges(site: Site) -> str:
    """Return why the edges of a site cannot be cut; empty where they can."""
    module = site.module
    if site.end == "output" or site.axis is None:
        return "it is read by no layer of its own"
    if site.read_by is not None or not any(type(module).forward is kind.forward for kind in LAYERS):
        return "only linear layers and convolutions of torch, called as such, have edges that can be cut"
    axis, weight = site.axis, module._parameters.get("weight")
    if axis.parameter is not weight or axis.axis != 1 or axis.channels != axis.extent:
        return "its weight is not a plain matrix of outputs and inputs"
    return ""


@dataclass
class Reader:
    """A layer whose edges can be cut: its weight and bias, with the batch norm behind it, and the means that it reads.

    `alive` (outputs, inputs of a group) says which edges have a slice that is not zero. `factor`, of the same shape, is
    what is in force. `read` are the inputs that have an edge, None for all.
    """

    site: Site
    weight: Tensor
    bias: Tensor | None
    mean: Tensor
    factor: Tensor
    read: Tensor | None = None
    _constants: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the layer."""
        return self.site.name

    @property
    def alive(self) -> Tensor:
        """Which edges have a weight that is not zero, (outputs, inputs of a group)."""
        return self.weight.flatten(2).ne(0).any(2) if self.weight.dim() > 2 else self.weight.ne(0)

    def sources(self) -> Tensor:
        """Return the input channel of every edge, (outputs, inputs of a group)."""
        outputs, inputs = self.weight.shape[:2]
        groups = getattr(self.site.module, "groups", 1)
        first = torch.arange(outputs) // (outputs // groups) * inputs
        return first[:, None] + torch.arange(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer gives with its edges cut as `factor` says."""
        axis = channel_axis(self.weight)
        mean, weight, factor = self.mean, self.weight, self.factor
        if self.read is not None:
            x, mean = x.index_select(axis, self.read), mean[self.read]
            weight, factor = weight[:, self.read], factor[:, self.read]
        mean = mean.view(-1, *[1] * (-1 - axis))
        shape = tuple(x.shape[2:]) if weight.dim() > 2 else (x.dim(),)
        if shape not in self._constants:  # padding makes it depend on the place
            one = mean.expand(1, -1, *shape) if weight.dim() > 2 else mean
            self._constants[shape] = applied(self.site.module, one, weight, self.bias).detach()
        cut = weight * factor.view(*factor.shape, *[1] * (weight.dim() - 2))
        return applied(self.site.module, x - mean, cut, None) + self._constants[shape]


@dataclass(frozen=True)
class EdgeNetwork:
    """A network whose edges can be cut, and the images to measure it on; use it inside `cuttable(…)`."""

    probe: Probe
    readers: tuple[Reader, ...]

    def every(self, value: float = 1.0) -> dict[str, Tensor]:
        """Return a factor for each edge."""
        return {reader.name: torch.full_like(reader.factor, value) for reader in self.readers}

    def joined(self, factors: Factors) -> Tensor:
        """Return a number for each edge as one vector, layer after layer."""
        return torch.cat([factors[reader.name].flatten() for reader in self.readers])

    def split(self, vector: Tensor) -> Factors:
        """Return a vector as a number for each edge of every layer."""
        parts = torch.split(vector, [reader.factor.numel() for reader in self.readers])
        return {own.name: part.view(own.factor.shape) for own, part in zip(self.readers, parts, strict=True)}

    def edges_of(self, task: str) -> Tensor:
        """Return which edges a task has: those with a weight, in layers that its loss depends on; one vector."""
        batch = next(self.probe.batches())
        few = Batch(batch.images[:1], {name: target[:1] for name, target in batch.targets.items()})
        given = [factor.requires_grad_() for factor in self.every().values()]
        with torch.enable_grad():
            factors = {own.name: factor for own, factor in zip(self.readers, given, strict=True)}
            loss = self.losses(few, factors, (task,))[task].sum()
            found = torch.autograd.grad(loss, given, allow_unused=True)
        used = [own.alive & (grad is not None) for own, grad in zip(self.readers, found, strict=True)]
        return torch.cat([own.flatten() for own in used])

    def outputs(self, batch: Batch, factors: Factors) -> Mapping[str, Tensor]:
        """Return the model's outputs for a batch, with edges cut as `factors` says."""
        for reader in self.readers:
            reader.factor = factors[reader.name]
        found: Mapping[str, Tensor] = self.probe.model(batch.images)
        return found

    def loss_of(self, task: str, batch: Batch, output: Tensor) -> Tensor:
        """Return the loss of every image for a task, (B,), by its output."""
        losses = self.probe.objectives[task].losses
        return losses.value(output, losses.freeze(output, batch.targets.get(task)))

    def losses(self, batch: Batch, factors: Factors, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Return the loss of every image for some tasks, (B,), with edges cut as `factors` says."""
        found = self.outputs(batch, factors)
        return {task: self.loss_of(task, batch, found[task]) for task in tasks}


@contextmanager
def cuttable(probe: Probe, sites: Sequence[Site], means: Means) -> Iterator[EdgeNetwork]:
    """Hold a model frozen, in evaluation mode, with edges at the sites that can be cut; give it back as it was."""
    norms = {id(layer): norm for layer, norm in folded_pairs(probe.model)}
    with frozen_model(probe.model), ExitStack() as held:
        readers = tuple(_reader(site, norms.get(id(site.module)), means[site.name]) for site in sites)
        for reader in readers:
            held.enter_context(calling(reader.site.module, reader.forward))
        yield EdgeNetwork(probe, readers)


@torch.no_grad()
def _reader(site: Site, norm: Any, mean: Tensor) -> Reader:
    module: Any = site.module
    weight, bias = (module.weight, module.bias) if norm is None else folded_weights(module, norm)
    weight = weight.detach()
    factor = torch.ones(weight.shape[:2]).to(weight)
    return Reader(site, weight, bias, mean.to(weight), factor, read_inputs(module, weight))


def edge_scores(
    network: EdgeNetwork, factors: Factors, tasks: Sequence[str], batches: Callable[[], Iterator[Batch]] | None = None
) -> dict[str, dict[str, Tensor]]:
    """Return {task: {layer: (outputs, inputs of a group)}}: ∂L_t/∂k at k = `factors`, mean over the images."""
    totals = {task: network.every(0.0) for task in tasks}
    images = 0
    for batch in (batches or network.probe.batches)():
        images += len(batch.images)
        given = {name: own.detach().clone().requires_grad_() for name, own in factors.items()}
        with torch.enable_grad():
            values = network.losses(batch, given, tasks)
        for place, task in enumerate(tasks):
            found = torch.autograd.grad(
                values[task].sum(), list(given.values()), retain_graph=place < len(tasks) - 1,
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            for layer, own in zip(given, found, strict=True):
                totals[task][layer] += own
    return {task: {layer: own / max(images, 1) for layer, own in layers.items()} for task, layers in totals.items()}
