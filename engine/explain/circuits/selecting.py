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
much may be lost on those that are learned from. Between the best circuit below the level and the smallest above it,
edges come back by how long they lasted. Then the weakest edges go as long as the level holds.
"""

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from winnow.engine.explain.circuits.losses import LossSpan, TaskEdges, WholeBatch, whole_batches

FIRST, SECOND = 0.9, 0.98  # decay of Adam's moments
AIM, LEAST_AIM, MOST_AIM = 0.4, 0.05, 2.0  # of what may be lost: at first, at least, at most
TURN = 0.9  # the factor by which that is changed to keep the level on the images that size
RAISED, LOWERED, PULL = 0.1, 0.3, 0.15  # the most that log λ grows and falls in a step, and its gain
WEAKEST, STRONGEST = 0.05, 1e3  # λ
LOOKED_AT = 5  # steps between hard masks
TRIMS = 7  # halvings in search of the edges that can go


@dataclass(frozen=True)
class Learning:
    """How masks are learned: steps per task, the step's size, images a step, and the levels to keep, of 1."""

    steps: int = 160
    rate: float = 0.03
    chunk: int = 16
    levels: tuple[float, ...] = (0.9, 0.95)


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
    parts = [part for part in zip(on, torch.split(given, counts), strict=True) if part[1].any()]
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


@dataclass(frozen=True)
class _Tried:
    """A circuit on the way, the share that it keeps on the images that size, and the mask as it was."""

    circuit: Tensor
    kept: float
    count: int
    mask: EdgeMask


def select_circuits(edges: TaskEdges, learning: LossSpan, sizing: LossSpan, settings: Learning) -> FoundCircuits:
    """Return the smallest circuits found that keep each level on the images of `sizing`, learned on others."""
    level = max(settings.levels)
    mask = EdgeMask(edges.edges.float(), aim=AIM * (1 - level))
    tried, lasted = [_Tried(edges.edges, 1.0, edges.count, copy(mask))], torch.zeros_like(mask.factors)
    for now in learn_mask(edges, whole_batches(edges, learning), mask, settings):
        lasted += now.factors
        if now.steps % LOOKED_AT == 0 or now.steps == settings.steps:
            hard = now.factors > 0.5
            kept = sizing.kept(edges.losses(sizing.batches, hard))
            tried.append(_Tried(hard, kept, int(hard.sum()), copy(now)))
            turn = TURN if kept < level else 1 / TURN
            now.aim = min(max(now.aim * turn, LEAST_AIM * (1 - level)), MOST_AIM * (1 - level))
    found = {}
    for own in sorted(settings.levels):
        smallest = min((one for one in tried if one.kept >= own), key=lambda one: one.count)
        grown = _grown(edges, sizing, [smallest, *tried], (lasted, own))
        found[own] = _trimmed(edges, (learning, sizing), grown, own)
    return FoundCircuits(found, smallest.mask.factors, smallest.mask.strength, smallest.mask.aim)


def _grown(edges: TaskEdges, sizing: LossSpan, tried: Sequence[_Tried], by: tuple[Tensor, float]) -> Tensor:
    """Return a circuit that keeps the level: the first that was tried, or a smaller one that keeps less, grown.

    Edges are added to that of the smaller ones which keeps most, by how long they lasted in the mask; the number by
    halving.
    """
    (lasted, level), first = by, tried[0]
    smaller = [one for one in tried if one.count < first.count]
    if not smaller:
        return first.circuit
    base = max(smaller, key=lambda one: one.kept).circuit
    order = lasted.masked_fill(~edges.edges | base, -1.0).argsort(descending=True)
    low, high, best = 0, first.count - int(base.sum()), first.circuit
    for _ in range(TRIMS):
        middle = (low + high) // 2
        more = base.clone()
        more[order[:middle]] = True
        if sizing.kept(edges.losses(sizing.batches, more)) >= level:
            high, best = middle, more
        else:
            low = middle
    return best


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
