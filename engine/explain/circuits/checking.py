"""Is it the circuit? Edges are really cut, on images that neither learned nor sized it.

With L the mean loss of an image, and the share kept by a set of edges S, all others cut,

    kept(S) = (L(nothing) − L(S)) / (L(nothing) − L(all)),

| figure                | value                                                                                       |
|-----------------------|---------------------------------------------------------------------------------------------|
| `faithfulness`        | kept(circuit), with a 95 % interval over images (percentile bootstrap)                      |
| `completeness`        | 1 − kept(all but the circuit): what is lost when the circuit itself is cut                  |
| `random`              | mean of kept(S) over random S with as many edges as the circuit in every layer; the null    |
| `random_best`         | the largest of them                                                                         |
| `missed`              | the largest share lost when one edge outside the circuit is cut from the whole network, of  |
|                       | those that two scaled passes find strongest                                                 |
| `missed_bound`        | the same to first order, of every edge outside, at the worse of the two scales              |

A gradient at one point misses edges by saturation, where the loss is flat there, and by cancellation, where two effects
of an edge add up to nothing (AtP*, Kramár et al. 2024, arXiv 2403.00745). So edges outside the circuit are scored at
two scales between the circuit and the whole network, and with the sizes of both scales, not their sum. What both miss
is not bounded: the first-order figure is no proof.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from winnow.engine.explain.circuits.losses import LossSpan, TaskEdges

SCALES = (0.25, 0.75)
CUT_ALONE = 8  # edges outside that are cut one by one
DRAWS = 4  # random circuits


@dataclass(frozen=True)
class CircuitFigures:
    """The figures of one circuit; see the table above."""

    faithfulness: float
    low: float
    high: float
    completeness: float
    random: float
    random_best: float
    missed: float
    missed_bound: float


def judged_circuit(edges: TaskEdges, on: LossSpan, circuit: Tensor, seed: int, resamples: int) -> CircuitFigures:
    """Return the figures of a circuit on the images of `on`."""
    generator = torch.Generator().manual_seed(seed)
    losses = edges.losses(on.batches, circuit)
    low, high = _interval(on, losses, seed, resamples)
    rest = edges.losses(on.batches, edges.edges & ~circuit)
    drawn = [_random(edges, circuit, generator) for _ in range(DRAWS)]
    chance = [on.kept(edges.losses(on.batches, one)) for one in drawn]
    missed, bound = _missed(edges, on, circuit)
    return CircuitFigures(
        on.kept(losses), low, high, 1 - on.kept(rest), float(np.mean(chance)), max(chance), missed, bound
    )  # fmt: skip


def _interval(on: LossSpan, losses: Tensor, seed: int, resamples: int) -> tuple[float, float]:
    chance = np.random.default_rng(seed)
    whole, cut, now = on.whole.cpu().numpy(), on.cut.cpu().numpy(), losses.cpu().numpy()
    drawn = chance.integers(len(now), size=(resamples, len(now)))
    change = (cut - whole)[drawn].mean(1)
    shares = (cut - now)[drawn].mean(1)[change > 0] / change[change > 0]
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def _random(edges: TaskEdges, circuit: Tensor, generator: torch.Generator) -> Tensor:
    """Return random edges of the task, as many in every layer as the circuit has."""
    found, end = torch.zeros_like(circuit), 0
    for reader in edges.network.readers:
        start, end = end, end + reader.factor.numel()
        own = edges.edges[start:end].nonzero().ravel()
        order = torch.randperm(len(own), generator=generator).to(own.device)
        found[start + own[order[: int(circuit[start:end].sum())]]] = True
    return found


def _missed(edges: TaskEdges, on: LossSpan, circuit: Tensor) -> tuple[float, float]:
    outside = edges.edges & ~circuit
    if not outside.any():
        return 0.0, 0.0
    scaled = [edges.savings(on.batches, circuit.float() + scale * outside) / on.change for scale in SCALES]
    sizes = torch.stack(scaled).abs().amax(0) * outside
    alone = sizes.topk(min(CUT_ALONE, int(outside.sum()))).indices.tolist()
    return max(_lost_alone(edges, on, place) for place in alone), float(sizes.max())


def _lost_alone(edges: TaskEdges, on: LossSpan, place: int) -> float:
    without = edges.edges.clone()
    without[place] = False
    return abs(1 - on.kept(edges.losses(on.batches, without)))
