"""What a task has learned, and how much of it is left when edges are cut.

With L the mean loss of an image, L(1) that of the whole network and L(0) with all edges cut, the share of the loss
change that a set of edges S keeps is (L(0) − L(S)) / (L(0) − L(1)): 1 for the whole network, 0 for nothing, above 1
where the task does better without the other edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from winnow.engine.explain.circuits.edges import EdgeNetwork, edge_scores
from winnow.engine.training.batches import Batch


@dataclass(frozen=True)
class TaskEdges:
    """The edges of a task as vectors: those whose weight is not zero, in layers that its loss depends on."""

    network: EdgeNetwork
    task: str
    edges: Tensor

    @cached_property
    def count(self) -> int:
        """How many edges there are."""
        return int(self.edges.sum())

    @torch.no_grad()
    def losses(self, batches: Sequence[Batch], mask: Tensor) -> Tensor:
        """Return the loss of every image with the edges outside `mask` cut, (images,), in double precision."""
        factors = self.network.split(mask.float())
        return torch.cat([self.network.losses(batch, factors, (self.task,))[self.task] for batch in batches]).double()

    def gradient(self, factors: Tensor, target: "WholeBatch", weights: Tensor) -> tuple[float, Tensor]:
        """Return ℓ of a batch at some factors, and its gradient with respect to them; `weights` of the images."""
        given = factors.detach().requires_grad_()
        parts = weights.to(given) / weights.sum()
        with torch.enable_grad():
            output = self.network.outputs(target.batch, self.network.split(given))[self.task]
            losses = self.network.loss_of(self.task, target.batch, output)
            above = (losses - target.losses.to(losses)).clamp(min=0) / target.change
            apart = (output - target.output).square().flatten(1).sum(1) / target.square
            lost = ((above + apart) / 2 * parts).sum()
            (found,) = torch.autograd.grad(lost, given)
        return float(lost.detach()), found

    def squares(self, batches: Sequence[Batch], mask: Tensor, outputs: Sequence[Tensor]) -> float:
        """Return the mean over images of the squared distance of the outputs from others, with edges cut."""
        with torch.no_grad():
            factors = self.network.split(mask.float())
            found = [self.network.outputs(batch, factors)[self.task] for batch in batches]
        return sum(float((a - b).square().sum()) for a, b in zip(found, outputs, strict=True)) / sum(map(len, found))

    def savings(self, batches: Sequence[Batch], factors: Tensor) -> Tensor:
        """Return −∂L/∂k at some factors, 0 where there is no edge: how far an edge lowers the loss, to first order."""
        found = edge_scores(self.network, self.network.split(factors), (self.task,), lambda: iter(batches))
        return -self.network.joined(found[self.task]) * self.edges


@dataclass(frozen=True)
class LossSpan:
    """What a task has learned, on some images: its losses whole and with all edges cut, (images,)."""

    batches: tuple[Batch, ...]
    whole: Tensor
    cut: Tensor

    @property
    def change(self) -> float:
        """L(cut) − L(whole)."""
        return float((self.cut - self.whole).mean())

    def kept(self, losses: Tensor) -> float:
        """Return the share of the loss change that is kept, (L(cut) − L) / (L(cut) − L(whole))."""
        return float((self.cut - losses).mean()) / self.change


@dataclass(frozen=True)
class WholeBatch:
    """A batch, and what is to be kept of it: losses and outputs of the whole network; the sizes of both changes."""

    batch: Batch
    losses: Tensor
    output: Tensor
    change: float
    square: float


def learned_span(edges: TaskEdges, batches: Sequence[Batch]) -> LossSpan:
    """Return what a task has learned on some images.

    Raises:
        ValueError: cutting every edge does not raise the loss.

    """
    nothing = torch.zeros_like(edges.edges)
    found = LossSpan(tuple(batches), edges.losses(batches, edges.edges), edges.losses(batches, nothing))
    if not found.change > 0:
        raise ValueError(
            f"`circuits` must be of a task that has learned something, got {edges.task}: its loss is "
            f"{float(found.whole.mean()):.4g}, and {float(found.cut.mean()):.4g} with every edge cut. Train the run "
            "longer, or explain it on more images."
        )
    return found


def whole_batches(edges: TaskEdges, on: LossSpan) -> tuple[WholeBatch, ...]:
    """Return what is to be kept of every batch."""
    with torch.no_grad():
        factors = edges.network.split(edges.edges.float())
        outputs = [edges.network.outputs(batch, factors)[edges.task] for batch in on.batches]
    square = edges.squares(on.batches, torch.zeros_like(edges.edges), outputs)
    losses = torch.split(on.whole, [len(batch.images) for batch in on.batches])
    each = zip(on.batches, losses, outputs, strict=True)
    return tuple(WholeBatch(*own, on.change, max(square, 1e-12)) for own in each)
