"""The fewest edges that keep most of what a task has learned: a mask over edges, learned, then cut to size.

Every edge has a factor k in [0, 1], 1 at first. Some steps of Adam, projected to [0, 1], lower

    ℓ(k) + λ · mean(k),    ℓ(k) = ½ mean_i max(0, L_i(k) − L_i(1)) / (L(0) − L(1))
                                + ½ Σ_i ‖y_i(k) − y_i(1)‖² / Σ_i ‖y_i(0) − y_i(1)‖²

over images i with losses L_i and outputs y_i of the task. λ is raised while less is lost than may be, and lowered above
it. This is edge pruning (Bhaskar, Wettig, Friedman & Chen 2024, arXiv 2406.16778) without its random gates: every
step scores all edges again at the mask that is in force, so that edges which only mattered together with others go with
them, and those that are missed come back. Taking the edges of the highest first scores alone keeps several times as
many. By the loss alone a mask would fit the few images that it learns from. That it makes an image's loss smaller than
the whole network does is no merit of a circuit: so the loss counts upwards only, and the outputs must stay as they are.

Now and then the mask is made hard (k > ½) and the share kept is measured for real on other images, which also says how
much may be lost on those that are learned from. The smallest such circuit that keeps the level is trimmed: edges that
do nothing in it, then the weakest, go as long as the level holds.
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
AIM, TURN = 0.4, 0.8  # of what may be lost, at first; the factor by which it is changed to keep the level elsewhere
RAISED, LOWERED, PULL = 0.1, 0.3, 0.15  # the most that log λ grows and falls in a step, and its gain
WEAKEST, STRONGEST = 0.05, 1e3  # λ
LOOKED_AT = 10  # steps between hard masks
TRIMS = 7  # halvings in search of the edges that can go


@dataclass(frozen=True)
class Learning:
    """How masks are learned: steps per task, the step's size, images a step, and the levels to keep, of 1."""

    steps: int = 160
    rate: float = 0.03
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
    losses = on.whole.split([len(batch.images) for batch in on.batches])
    each = zip(on.batches, losses, outputs, strict=True)
    return tuple(WholeBatch(*own, on.change, max(square, 1e-12)) for own in each)


@dataclass
class EdgeMask:
    """A mask that is being learned: its factors, Adam's moments, λ, what may be lost, and what is lost at present."""

    factors: Tensor
    strength: float = 1.0
    aim: float = 0.02
    lost: float = 0.0
    steps: int = 0
    first: Tensor = field(init=False)
    second: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.first, self.second = torch.zeros_like(self.factors), torch.zeros_like(self.factors)

    def step(self, gradient: Tensor, lost: float, rate: float) -> None:
        """Move by a step; `gradient` is that of ℓ times the number of edges, so that of λ · mean(k) is λ."""
        self.steps += 1
        whole = gradient + self.strength
        self.first = FIRST * self.first + (1 - FIRST) * whole
        self.second = SECOND * self.second + (1 - SECOND) * whole.square()
        size = (self.second / (1 - SECOND**self.steps)).sqrt() + 1e-8
        self.factors = (self.factors - rate * self.first / (1 - FIRST**self.steps) / size).clamp(0, 1)
        self.lost = 0.7 * self.lost + 0.3 * lost
        turn = min(RAISED, max(-LOWERED, PULL * math.log(self.aim / max(self.lost, 1e-6))))
        self.strength = min(max(self.strength * math.exp(turn), WEAKEST), STRONGEST)

    def best(self, edges: Tensor, count: int) -> Tensor:
        """Return the `count` edges of the largest factors, of equal ones those that are growing."""
        growing = -self.first / (self.second.sqrt() + 1e-8)
        order = (self.factors + 1e-3 * growing.clamp(-9, 9)).masked_fill(~edges, -1.0)
        found = torch.zeros_like(edges)
        found[order.topk(count).indices] = True
        return found


def learn_mask(
    edges: TaskEdges, on: Sequence[WholeBatch], mask: EdgeMask, settings: Learning, weights: Tensor | None = None
) -> Iterator[EdgeMask]:
    """Move a mask by `settings.steps`, a batch each; yield it after each. `weights` are those of the images."""
    counts = [len(target.losses) for target in on]
    given = torch.ones(sum(counts)) if weights is None else weights
    parts = [part for part in zip(on, given.split(counts), strict=True) if part[1].any()]
    for number in range(settings.steps):
        target, own = parts[number % len(parts)]
        lost, gradient = edges.gradient(mask.factors, target, own)
        mask.step(gradient * edges.edges * edges.count, lost, settings.rate)
        mask.factors = mask.factors * edges.edges
        yield mask


@dataclass(frozen=True)
class FoundCircuits:
    """The circuits of a task, {level: mask}, and the factors, λ and aim from which the last one was made."""

    circuits: dict[float, Tensor]
    factors: Tensor
    strength: float
    aim: float


def select_circuits(edges: TaskEdges, learning: LossSpan, sizing: LossSpan, settings: Learning) -> FoundCircuits:
    """Return the smallest circuits found that keep each level on the images of `sizing`, learned on others."""
    level = max(settings.levels)
    mask = EdgeMask(edges.edges.float(), aim=AIM * (1 - level))
    tried = [(edges.count, 1.0, edges.edges, FoundCircuits({}, mask.factors, mask.strength, mask.aim))]
    for now in learn_mask(edges, whole_batches(edges, learning), mask, settings):
        if now.steps % LOOKED_AT == 0 or now.steps == settings.steps:
            hard = now.factors > 0.5
            kept = sizing.kept(edges.losses(sizing.batches, hard))
            tried.append((int(hard.sum()), kept, hard, FoundCircuits({}, now.factors, now.strength, now.aim)))
            now.aim = min(max(now.aim * (TURN if kept < level else 1 / TURN), 0.05 * (1 - level)), 2 * (1 - level))
    found = {}
    for own in sorted(settings.levels):
        smallest = min((one for one in tried if one[1] >= own), key=lambda one: one[0])
        found[own] = _trimmed(edges, (learning, sizing), smallest[2], own)
    return replace(smallest[3], circuits=found)


def _trimmed(edges: TaskEdges, parts: tuple[LossSpan, LossSpan], circuit: Tensor, level: float) -> Tensor:
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
    edges: TaskEdges, learning: LossSpan, selected: FoundCircuits, settings: Learning, draws: tuple[int, int]
) -> tuple[Tensor, ...]:
    """Return the largest circuit again for a number of bootstrap samples of the images; `draws` is (seed, number).

    Learning goes on from the mask of the circuit, for a tenth of the steps, with every image counted as often as it was
    drawn. So this is the spread of what learning finds near the circuit; that of learning afresh is wider.
    """
    seed, number = draws
    generator, images = torch.Generator().manual_seed(seed), len(learning.whole)
    few = replace(settings, steps=max(settings.steps // 10, 1))
    found, on = [], whole_batches(edges, learning)
    for _ in range(number):
        drawn = torch.randint(images, (images,), generator=generator)
        weights = torch.bincount(drawn, minlength=images).to(learning.whole)
        mask = EdgeMask(selected.factors, selected.strength, selected.aim)
        for _now in learn_mask(edges, on, mask, few, weights):
            pass
        found.append(mask.best(edges.edges, int(selected.circuits[max(selected.circuits)].sum())))
    return tuple(found)
