"""A strength that is learned from images that the steps do not see, instead of being searched for by many runs.

Every few steps the loss L on held-out images and its gradient are taken, and with `engine.sparsity.hypergradient`

    cost = dL/d log λ = λ dL/dλ,

what the pull of the penalty over the last steps costs on held-out images. On its own
this drives λ to where nothing is lost at all, which is nearly always λ → 0: the derivative looks back a short while
only, and what sparsity is good for (less memory, fewer multiplications) is no part of L. So the rule is that of one
standard error (Breiman et al. 1984): the strongest penalty whose cost cannot be told from chance,

    log λ ← log λ + rate · clip(1 − max(cost, regret) / (tolerance · standard error of L), −1, 1),

all of them running means over updates; one measurement of a cost counts as OUTLYING times what is allowed at most.
`regret` is how far L lies above where it was lowest, and guards against what
the derivative does not see: groups that have died, and what the pull of more than a horizon has done. Both are compared
with the weights of the tasks as they are now. The standard error is that of a mean over all held-out images. The clip
bounds each move: DECADES over the time until the refit. A layer of its own (`per` layer) has its share of the
tolerance. λ is `base` times the factor of a layer, the factors with geometric mean 1, so that a user may change `base`
at any time. When the refit begins, the support is frozen and the penalty ends, as with a target.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from winnow.engine.sparsity.hypergradient import ShrinkTrace
from winnow.engine.sparsity.proximal import Proximal

Per = Literal["global", "layer"]
DECADES = 2.5  # how far λ can move over the time until the refit
OUTLYING = 2.0  # of what is allowed: what one measurement may say at most, either way
NEWEST = 0.1  # weight of the newest measurement in the running means
LEAST, MOST = 1e-12, 1e6  # λ
REMEMBERED = ("costs", "regret", "error", "taken", "losses", "lowest", "factors")


@dataclass
class Learned:
    """λ by the derivative of a held-out loss; `base` is λ now, `take` moves it.

    Args:
        proximal: whose strength it sets, and whose groups it follows.
        base: λ at the start, above 0.
        warm_up: first step with a penalty.
        refit_from: step from which on the support is frozen.
        every: steps between two measurements of the held-out loss.
        horizon: steps over which the pull of the penalty is remembered; 1 for the one-step derivative.
        tolerance: how many standard errors of the held-out loss the pull may cost.
        per: one λ for all groups, or one for each layer.

    Raises:
        ValueError: a number that is out of its range.

    """

    proximal: Proximal
    base: float
    warm_up: int
    refit_from: int
    every: int = 8
    horizon: float = 50.0
    tolerance: float = 1.0
    per: Per = "global"
    costs: list[float] = field(default_factory=list)
    regret: float = 0.0
    error: float = 0.0
    taken: int = 0
    losses: list[float] = field(default_factory=list)
    lowest: list[float] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, least in (("base", 0.0), ("horizon", 1.0), ("tolerance", 0.0), ("every", 1)):
            value = getattr(self, name)
            if not (least < value or (least == value and name != "base")) or not math.isfinite(value):
                raise ValueError(f"`{name}` must be a finite number above or at {least:g}, got {value}.")
        banks = self.proximal.dense_banks
        self.factors = [1.0] * len(banks)
        self.costs = [0.0] * (len(banks) if self.per == "layer" else 1)
        self.proximal.trace = ShrinkTrace(1 / self.horizon)

    def before(self, step: int) -> None:
        """Set the strength of the step; freeze the support at the refit."""
        for place, bank in zip(self.proximal.places, self.proximal.banks, strict=True):
            bank.factor = self.factors[place]
        if step >= self.refit_from:
            self.proximal.trace = None
            if self.proximal.support is None:
                self.proximal.freeze()
            self.proximal.strength = 0.0
            return
        self.proximal.strength = self.base if step >= self.warm_up else 0.0

    @property
    def planned(self) -> int:
        """How often the held-out loss is measured, all in all."""
        return max(self.refit_from - self.warm_up - 1, 0) // self.every

    def due(self, steps: int) -> bool:
        """Whether the held-out loss is to be measured now, after so many steps."""
        return self.warm_up < steps < self.refit_from and (steps - self.warm_up) % self.every == 0

    def take(
        self, derivatives: Sequence[float], losses: Sequence[float], weights: Sequence[float], error: float
    ) -> None:
        """Move λ by a measurement on held-out images.

        Args:
            derivatives: dL/dλ of each bank there is now.
            losses: the loss of each task; exactly 0 where it has no labels in the batch: what is known of it stays.
            weights: of the tasks in L.
            error: the standard error of L.

        Raises:
            ArithmeticError: one of them is no number.

        """
        if not all(map(math.isfinite, (*derivatives, *losses, *weights, error))):
            raise ArithmeticError("the held-out loss or its gradient became NaN, so that no strength follows from it")
        own = [0.0] * len(self.factors)
        for place, derivative in zip(self.proximal.places, derivatives, strict=True):
            own[place] = self.base * derivative
        self.taken += 1
        newest = max(NEWEST, 1 / self.taken)
        self.error += newest * (error - self.error)
        measured = own if self.per == "layer" else [math.fsum(own)]
        most = OUTLYING * self.tolerance * self.error / len(measured) or math.inf
        self.costs = _moved(self.costs, [min(max(cost, -most), most) for cost in measured], newest)
        self.losses = _known(self.losses or losses, losses, newest)
        lowest = [low or new for low, new in zip(self.lowest or self.losses, self.losses, strict=True)]
        above = [new - low for new, low in zip(self.losses, lowest, strict=True)]
        self.regret = max(math.fsum(w * over for w, over in zip(weights, above, strict=True)), 0.0)
        self.lowest = list(lowest if self.regret else self.losses)
        self._move()

    def _move(self) -> None:
        proximal, layers = self.proximal, self.per == "layer"
        moving = [place for place, bank in zip(proximal.places, proximal.banks, strict=True) if bank.moves]
        costs = [self.costs[place] for place in moving] if layers else self.costs
        allowed, kept = self.tolerance * self.error, self.tolerance * self.error / max(len(costs), 1)
        rate = DECADES * math.log(10) * self.every / max(self.refit_from - self.warm_up, 1)
        most = _gap(self.regret, allowed) if allowed > 0 else 1.0
        moves = [rate * min(_gap(cost, kept), most) for cost in costs]
        mean = math.fsum(moves) / max(len(moves), 1)
        self.base = min(max(self.base * math.exp(mean), LEAST), MOST)
        for place, move in zip(moving, moves, strict=True) if layers else ():
            self.factors[place] = min(max(self.factors[place] * math.exp(move - mean), LEAST), MOST)

    def told(self) -> dict[str, float]:
        """Return what is known of the held-out loss, and the least and the largest λ of a layer where each has one."""
        found = {"held_out_cost": math.fsum(self.costs), "held_out_regret": self.regret, "held_out_error": self.error}
        if self.per == "layer":
            found |= {
                "strength_least": self.base * min(self.factors),
                "strength_most": self.base * max(self.factors),
            }
        return found

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs besides `base`."""
        return {name: getattr(self, name) for name in REMEMBERED}

    def restore(self, known: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        for name in REMEMBERED:
            value = known[name]
            setattr(self, name, list(value) if isinstance(value, list) else value)


def _moved(old: Sequence[float], new: Sequence[float], newest: float) -> list[float]:
    return [one + newest * (other - one) for one, other in zip(old, new, strict=True)]


def _known(old: Sequence[float], new: Sequence[float], newest: float) -> list[float]:
    """Return running means of losses; one that is 0 is not known."""
    moved = _moved(old, new, newest)
    return [then if one and other else one or other for one, other, then in zip(old, new, moved, strict=True)]


def _gap(cost: float, allowed: float) -> float:
    """Return 1 − cost/allowed, within ±1; with nothing allowed, the sign of the way down."""
    if allowed > 0:
        return min(max(1 - cost / allowed, -1.0), 1.0)
    return float((cost < 0) - (cost > 0))
