"""The strength λ over a run: fixed, warmed up, ramped, or held by a controller so that a wanted share becomes zero.

λ depends on the scale of the losses and on the number of tasks, so that nobody knows it beforehand. What a user wants
is "70 % of the MACs gone". The controller raises or lowers λ by the gap between what is wanted a little later and what
will be zero by then,

    wanted(p) = target · p² (3 − 2p),      log λ ← log λ + rate · clip(gap),

with z₀ zero at the start, because a group takes many steps to die: its norm, moved on by its mean change per step, says
whether it will. Groups that are dead on both sides of a channel have no gradient and never revive, so that overshooting
would be for good. When the refit begins, it settles the support so that the share is met to within one group: it drops
the weakest survivors, or lets the dead that are about to revive live. Then the support is frozen and the penalty ends.

A share of latency or memory is predicted (`engine.measure.predicted_cost`), which takes long, so that λ moves at every
hundredth of the time only, as far at once.

A controller is a pure function of the step, `base` and what stands in the proximal step, so that a resumed run goes on
with the same bits.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from winnow.engine.sparsity.counts import Counts, TargetOf, strongest
from winnow.engine.sparsity.groups import Bank
from winnow.engine.sparsity.penalties import Penalty
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.thresholds import gradients

HELD = 0.85  # of the time until the refit: from here on the target no longer rises
DECADES = 5.0  # how far λ can move over the time until the refit
AHEAD = 0.06  # of that time: how far it looks ahead
SATURATED = 0.1  # gap, as a share, at which λ moves as fast as it can
KEPT_BY_FLOOR = 1e6  # above every score
SAID_OF: Mapping[str, tuple[str, str]] = MappingProxyType(  # what a share is of, and what becomes of it
    {
        "group": ("groups", "are zero"),
        "parameter": ("parameters", "are zero"),
        "mac": ("macs", "are zero"),
        "latency": ("latency", "is saved"),
        "memory": ("memory", "is saved"),
    }
)
PREDICTED: Mapping[str, float] = MappingProxyType({"latency": 1.0, "memory": 1.0})  # how near a share is met [points]


class Controller(Protocol):
    """Sets the strength before each step; `base` is what a user may change at any time."""

    base: float

    def before(self, step: int) -> None:
        """Set the strength of the step, counted from 0, and freeze the support when its time has come."""
        ...


@dataclass
class Scheduled:
    """λ = base after a warm-up without penalty and a linear ramp, both in steps; 0 from `refit_from` on."""

    proximal: Proximal
    base: float
    warm_up: int
    ramp: int
    refit_from: int

    def before(self, step: int) -> None:
        """Set the strength of the step."""
        if step >= self.refit_from:
            _freeze(self.proximal, None)
            return
        since = step - self.warm_up
        risen = min(max(since, 0) / self.ramp, 1) if self.ramp else float(since >= 0)
        self.proximal.strength = self.base * risen


@dataclass
class Targeted:
    """A controller: λ moves until `percent` [%] of the groups, parameters or MACs are zero; `base` is λ now.

    The target is reached when the refit begins. `zero` [%] of them are zero at the start. Of latency or memory, it is
    the share that a removal would save, and λ moves every `every` steps.

    Raises:
        ValueError: a share of MACs where those of a module are not known, or `every` below 1.

    Examples:
        >>> net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> optimizer = Proximal(torch.optim.SGD(net.parameters(), lr=0.1), input_groups(net), GroupLasso(0.0))
        >>> counts = Counts(net, optimizer.banks, layer_macs(net, torch.ones(1, 8)))
        >>> control = Targeted(optimizer, 1e-3, counts, "group", 50.0, warm_up=0, refit_from=300)
        >>> for step in range(310):
        ...     control.before(step)
        ...     x = torch.randn(16, 8)
        ...     optimizer.zero_grad()
        ...     (net(x) - x.sum(1, keepdim=True)).square().mean().backward()
        ...     optimizer.step()
        >>> sum(int((norms == 0).sum()) for norms in optimizer.norms)  # half of 8 + 8
        8

    """

    proximal: Proximal
    base: float
    counts: Counts
    of: TargetOf
    percent: float
    warm_up: int
    refit_from: int
    zero: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"`every` must be at least 1, got {self.every}.")
        if self.of not in SAID_OF:
            raise ValueError(f"`of` must be one of {', '.join(SAID_OF)}, got {self.of!r}.")
        self.percent = _percent(self.percent)
        if self.of == "mac" and (unknown := self.counts.without_macs):
            raise ValueError(
                "`of` must be 'group' or 'parameter' where the MACs of a module are not known, got 'mac' and none of "
                f"{', '.join(unknown[:5])}. Choose a share of parameters, or give `Counts` the MACs of each weight: "
                "weight_macs(net, example)."
            )

    def before(self, step: int) -> None:
        """Move the strength by the gap to the rising target; settle and freeze the support at the refit."""
        if step >= self.refit_from:
            _freeze(self.proximal, self._settled)
            return
        span = max(self.refit_from - self.warm_up, 1)
        done = (step - self.warm_up) / span
        if done >= 0 and (step - self.warm_up) % self.every == 0:
            ahead = min(AHEAD, 1 - done)
            gap = (self.wanted(done + ahead) - self._zero(ahead * span)) / 100
            if not math.isfinite(gap):
                raise ArithmeticError(f"norms became NaN at step {step + 1}, so no strength can be computed from them")
            rate = DECADES * math.log(10) * self.every / span
            self.base = min(self.base * math.exp(rate * min(max(gap / SATURATED, -1), 1)), 1e6)
        self.proximal.strength = self.base if done >= 0 else 0.0

    def most(self) -> float:
        """Return the largest share [%] that can be zero: all but the floor of each layer, and what cannot move."""
        scores = [
            with_floor(bank, torch.zeros_like(norms))
            for bank, norms in zip(self.proximal.banks, self.proximal.norms, strict=True)
        ]
        return self.counts.percent(self.of, self.proximal.whole([own >= KEPT_BY_FLOOR for own in scores]))

    def missing(self) -> float:
        """Return how much [%] of the target is not zero now; 0 where the next group would exceed it."""
        zero = self.counts.percent(self.of, self.proximal.whole([norms != 0 for norms in self.proximal.norms]))
        gap = self.percent - zero
        return gap if gap > self._largest_group() else 0.0

    def beyond(self) -> float:
        """Return how much [%] more than the target is zero now; 0 where one group fewer would miss it."""
        zero = self.counts.percent(self.of, self.proximal.whole([norms != 0 for norms in self.proximal.norms]))
        return max(zero - self.percent, 0.0) if zero - self.percent > self._largest_group() else 0.0

    def _largest_group(self) -> float:
        """Return the largest share [%] that one group makes zero; of what is predicted, how near that can be met."""
        if self.of in PREDICTED:
            return PREDICTED[self.of]
        full = [bank.present.clone() for bank in self.proximal.banks]
        shares = [self.counts.percent(self.of, self.proximal.whole(full))]
        for place, (bank, alive) in enumerate(zip(self.proximal.banks, full, strict=True)):
            if bank.moves and bool(alive.any()):
                less = alive.clone()
                less[int(alive.nonzero()[0])] = False
                one = [*full[:place], less, *full[place + 1 :]]
                shares.append(self.counts.percent(self.of, self.proximal.whole(one)))
        return max(shares) - shares[0]

    def wanted(self, done: float) -> float:
        """Return the share [%] wanted when this part of the time until the refit is over."""
        part = min(done / HELD, 1.0)
        return self.zero + (self.percent - self.zero) * part**2 * (3 - 2 * part)

    def _zero(self, steps: float) -> float:
        """Return the share [%] that will be zero after so many steps more, if the norms go on as they do."""
        surviving = [
            (norms != 0) & ~(norms + steps * drift <= 0)
            for norms, drift in zip(self.proximal.norms, self.proximal.drift, strict=True)
        ]
        return self.counts.percent(self.of, self.proximal.whole(surviving))

    def _settled(self) -> list[Tensor]:
        return settled_support(self.proximal, self.counts, self.of, self.percent)


def _percent(value: object) -> float:
    if isinstance(value, Real) and 0 <= float(value) <= 100:
        return float(value)
    raise ValueError(f"`percent` must be a number from 0 to 100, got {value!r}.")


def settled_support(proximal: Proximal, counts: Counts, of: TargetOf, percent: float) -> list[Tensor]:
    """Return which groups may live so that `percent` [%] is zero to within one group, (channels,) per bank.

    Survivors rank by their norm relative to the largest of their layer, the dead below them by how near they are to
    reviving. The floor of each layer lives in any case; what was removed stays zero.
    """

    def zero(alive: list[Tensor]) -> float:
        return counts.percent(of, proximal.whole(alive))

    scores = [
        _scores(bank, norms, firmness)
        for bank, norms, firmness in zip(proximal.banks, proximal.norms, proximal.firmness(), strict=True)
    ]
    return best_support(scores, zero, percent)


def best_support(scores: Sequence[Tensor], zero: Callable[[list[Tensor]], float], percent: float) -> list[Tensor]:
    """Return which groups may live, (channels,) per bank: those of the highest scores, `percent` [%] being zero.

    `zero` returns the share [%] that is zero when these alone live. A score of KEPT_BY_FLOOR or more lives in any case.
    """
    ranked = torch.cat(list(scores)).sort(descending=True).values
    low, high = 0, len(ranked)  # the fewest groups kept that do not exceed `percent`
    while low < high:
        middle = (low + high) // 2
        if zero(_above(scores, ranked, middle)) > percent:
            low = middle + 1
        else:
            high = middle
    near = [_above(scores, ranked, kept) for kept in (max(low - 1, 0), low)]
    return min(near, key=lambda alive: abs(zero(alive) - percent))


def strength_max(banks: Sequence[Bank], penalty: Penalty) -> float:
    """Return the smallest λ that outweighs the loss on every group: max_g ‖∇_g F‖ / c_g, gradients from `.grad`.

    With the groups at zero this is λ_max: the start is a fixed point from it on. Elsewhere it is the strength at which
    the penalty outweighs the loss in every group, to first order, and the unit for grids of strengths.

    Raises:
        ArithmeticError: a gradient is NaN or infinite.

    Examples:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> (3 * net(torch.ones(1, 1))).sum().backward()
        >>> strength_max(banks(input_groups(net)), GroupLasso(0.0))
        3.0

    """
    unit = penalty.at(1.0)
    found = float(torch.stack([unit.firmness(bank, gradients(bank)).max().cpu() for bank in banks]).max())
    if not math.isfinite(found):
        raise ArithmeticError(f"gradients became {found}, so no strength can be computed from them")
    return found


def _freeze(proximal: Proximal, support: Callable[[], list[Tensor]] | None) -> None:
    if proximal.support is None:
        proximal.freeze(support() if support else None)
    proximal.strength = 0.0


def _scores(bank: Bank, norms: Tensor, firmness: Tensor) -> Tensor:
    """Return an order in which to keep groups: in (1, 2] for survivors, below 1 for the dead."""
    largest = norms.max()
    relative = norms / largest.masked_fill(largest == 0, 1)
    return with_floor(bank, torch.where(norms != 0, 1 + relative, firmness / (1 + firmness)))


def with_floor(bank: Bank, scores: Tensor) -> Tensor:
    """Return a bank's scores, those of its floor and of channels that are no groups above all others.

    Where nothing of the bank can move, all are.
    """
    if not bank.moves:
        return torch.full_like(scores, KEPT_BY_FLOOR)
    scores = scores.index_add(0, strongest(bank, scores), torch.full((bank.floor,), KEPT_BY_FLOOR).to(scores))
    return scores.masked_fill(~bank.present, KEPT_BY_FLOOR)


def _above(scores: Sequence[Tensor], ranked: Tensor, kept: int) -> list[Tensor]:
    """Return which groups live when the `kept` highest do, and the floor."""
    least = float(ranked[kept - 1]) if kept else float("inf")
    return [(own >= least) | (own >= KEPT_BY_FLOOR) for own in scores]
