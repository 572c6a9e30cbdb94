"""The fewest edges that keep most of what a task has learned: a mask over edges, learned, then cut to size.

Every edge has a factor k in [0, 1], 1 at first. Some steps of Adam, projected to [0, 1], lower

    ℓ(k) + λ · mean(k),    ℓ(k) = mean over images of max(0, L_i(k) − L_i(whole)) / (L(cut) − L(whole)),

where λ is raised while less than a part of what may be lost is lost, and lowered above it. This is edge pruning
(Bhaskar, Wettig, Friedman & Chen 2024, arXiv 2406.16778) without its random gates: every step scores all edges again at
the mask that is in force, so that edges which only mattered together with others go with them, and those that are
missed come back. Taking the edges of the highest first scores alone keeps several times as many.

Now and then the mask is made hard (k > ½) and the share kept is measured for real on other images. The smallest such
circuit that keeps the level is trimmed: edges that do nothing in it, then the weakest, go as long as the level holds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from winnow.engine.explain.circuits.edges import EdgeNetwork, edge_scores
from winnow.engine.training.batches import Batch

FIRST, SECOND = 0.9, 0.98  # decay of Adam's moments
AIM = 0.4  # of what may be lost: λ is lowered above it, since other images lose more
RAISED, LOWERED, PULL = 0.1, 0.4, 4.0  # the most that log λ grows and falls in a step, and its gain
LOOKED_AT = 10  # steps between hard masks
TRIMS = 7  # halvings in search of the edges that can go


@dataclass(frozen=True)
class Learning:
    """How masks are learned: steps per task, the step's size, images a step, and the levels to keep, of 1."""

    steps: int = 120
    rate: float = 0.05
    chunk: int = 16
    levels: tuple[float, ...] = (0.9, 0.95)


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

    def gradient(self, batch: Batch, factors: Tensor, whole: Tensor, weights: Tensor) -> tuple[float, Tensor]:
        """Return by how much the loss is above `whole` at some factors, and the gradient with respect to them.

        Both are means over images by `weights`, and of what is above only: that a mask makes an image's loss smaller
        than the whole network does is no merit of a circuit.
        """
        given = factors.detach().requires_grad_()
        with torch.enable_grad():
            losses = self.network.losses(batch, self.network.split(given), (self.task,))[self.task]
            above = ((losses - whole.to(losses)).clamp(min=0) * weights.to(losses)).sum() / weights.sum()
            (found,) = torch.autograd.grad(above, given)
        return float(above.detach()), found

    def savings(self, batches: Sequence[Batch], factors: Tensor) -> Tensor:
        """Return −∂L/∂k at some factors, 0 where there is no edge: how far an edge lowers the loss, to first order."""
        found = edge_scores(self.network, self.network.split(factors), (self.task,), lambda: iter(batches))
        return -self.network.joined(found[self.task]) * self.edges


@dataclass(frozen=True)
class Span:
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


def span(edges: TaskEdges, batches: Sequence[Batch]) -> Span:
    """Return what a task has learned on some images.

    Raises:
        ValueError: cutting every edge does not raise the loss.

    """
    found = Span(
        tuple(batches), edges.losses(batches, edges.edges), edges.losses(batches, torch.zeros_like(edges.edges))
    )
    if not found.change > 0:
        raise ValueError(
            f"`circuits` must be of a task that has learned something, got {edges.task}: its loss is "
            f"{float(found.whole.mean()):.4g}, and {float(found.cut.mean()):.4g} with every edge cut. Train the run "
            "longer, or explain it on more images."
        )
    return found


@dataclass
class Mask:
    """A mask that is being learned: its factors, Adam's moments, λ, and how much of the change is lost at present."""

    factors: Tensor
    strength: float = 1.0
    lost: float = 0.0
    steps: int = 0
    first: Tensor = field(init=False)
    second: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.first, self.second = torch.zeros_like(self.factors), torch.zeros_like(self.factors)

    def step(self, gradient: Tensor, lost: float, rate: float, aim: float) -> None:
        """Move by a step; `gradient` is that of ℓ times the number of edges, so that of λ · mean(k) is λ."""
        self.steps += 1
        whole = gradient + self.strength
        self.first = FIRST * self.first + (1 - FIRST) * whole
        self.second = SECOND * self.second + (1 - SECOND) * whole.square()
        size = (self.second / (1 - SECOND**self.steps)).sqrt() + 1e-8
        self.factors = (self.factors - rate * self.first / (1 - FIRST**self.steps) / size).clamp(0, 1)
        self.lost = 0.7 * self.lost + 0.3 * lost
        turn = min(RAISED, max(-LOWERED, PULL * (aim - self.lost)))
        self.strength = min(max(self.strength * math.exp(turn), 1e-3), 1e3)

    def best(self, edges: Tensor, count: int) -> Tensor:
        """Return the `count` edges of the largest factors, of equal ones those that are growing."""
        growing = -self.first / (self.second.sqrt() + 1e-8)
        order = (self.factors + 1e-3 * growing.clamp(-9, 9)).masked_fill(~edges, -1.0)
        found = torch.zeros_like(edges)
        found[order.topk(count).indices] = True
        return found


def learn(edges: TaskEdges, on: Span, mask: Mask, settings: Learning, weights: Tensor | None = None) -> Iterator[Mask]:
    """Move a mask by `settings.steps`, a batch each; yield it after each. `weights` are those of the images."""
    counts = [len(batch.images) for batch in on.batches]
    given = torch.ones_like(on.whole) if weights is None else weights
    parts = [
        part for part in zip(on.batches, on.whole.split(counts), given.split(counts), strict=True) if part[2].any()
    ]
    aim, scale = AIM * (1 - max(settings.levels)), edges.count / on.change
    for number in range(settings.steps):
        batch, whole, own = parts[number % len(parts)]
        above, gradient = edges.gradient(batch, mask.factors, whole, own)
        mask.step(gradient * edges.edges * scale, above / on.change, settings.rate, aim)
        mask.factors = mask.factors * edges.edges
        yield mask


@dataclass(frozen=True)
class Selected:
    """The circuits of a task, {level: mask}, and the factors and λ from which the last one was made."""

    circuits: dict[float, Tensor]
    factors: Tensor
    strength: float


def select(edges: TaskEdges, learning: Span, sizing: Span, settings: Learning) -> Selected:
    """Return the smallest circuits found that keep each level on the images of `sizing`, learned on others."""
    mask = Mask(edges.edges.float())
    tried = [(edges.count, 1.0, edges.edges, mask.factors, mask.strength)]
    for now in learn(edges, learning, mask, settings):
        if now.steps % LOOKED_AT == 0 or now.steps == settings.steps:
            hard = now.factors > 0.5
            kept = sizing.kept(edges.losses(sizing.batches, hard))
            tried.append((int(hard.sum()), kept, hard, now.factors, now.strength))
    found = {}
    for level in sorted(settings.levels):
        smallest = min((one for one in tried if one[1] >= level), key=lambda one: one[0])
        found[level] = _trimmed(edges, (learning, sizing), smallest[2], level)
    return Selected(found, smallest[3], smallest[4])


def _trimmed(edges: TaskEdges, parts: tuple[Span, Span], circuit: Tensor, level: float) -> Tensor:
    """Return a circuit without the edges that save least in it, as many as can go by halving."""
    learning, sizing = parts
    inside = circuit.nonzero().ravel()
    order = inside[edges.savings(learning.batches, circuit.float())[inside].argsort()]
    low, high, best = 0, len(order), circuit
    for _ in range(TRIMS):
        middle = (low + high) // 2
        less = circuit.clone()
        less[order[:middle]] = False
        if middle > low and sizing.kept(edges.losses(sizing.batches, less)) >= level:
            low, best = middle, less
        else:
            high = middle
    return best


def resampled(
    edges: TaskEdges, learning: Span, selected: Selected, settings: Learning, draws: tuple[int, int]
) -> tuple[Tensor, ...]:
    """Return the largest circuit again for a number of bootstrap samples of the images; `draws` is (seed, number).

    Learning goes on from the mask of the circuit, for a sixth of the steps, with every image counted as often as it was
    drawn. So this is the spread of what learning finds near the circuit; that of learning afresh is wider.
    """
    seed, number = draws
    generator, images = torch.Generator().manual_seed(seed), len(learning.whole)
    few = replace(settings, steps=max(settings.steps // 6, 1))
    found = []
    for _ in range(number):
        drawn = torch.randint(images, (images,), generator=generator)
        weights = torch.bincount(drawn, minlength=images).to(learning.whole)
        mask = Mask(selected.factors, selected.strength)
        for _now in learn(edges, learning, mask, few, weights):
            pass
        found.append(mask.best(edges.edges, int(selected.circuits[max(selected.circuits)].sum())))
    return tuple(found)
