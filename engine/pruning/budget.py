"""Which units go, so that a wished share of the model is saved: the worst first, until it is enough.

Units that nothing needs go first, since they cost nothing. Then the others, in the order of their scores, but for the
best of each class: one of them always, or more where a floor asks for more. Costs are not additive (a weight lies in
the unit that it writes and in the one that it reads), yet grow with every unit, so that the number of units is found by
bisection, with the cost of each candidate read from the channel graph.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.channels.partition import Labels
from engine.channels.weights import Flags, Values
from engine.pruning.units import Units
from engine.pruning.what_if import Shares, WhatIf
from engine.tally import Of


@dataclass(frozen=True)
class Budget:
    """What is to be saved: `percent` of the model's channels (group), parameters or multiply-accumulates (mac).

    `floor` is the share of each class's channels that always stays, one at least; `at` says whether the next unit too
    many is taken ("least") or left ("most").

    Raises:
        ValueError: a percentage outside (0, 100), a floor outside [0, 1), or an unknown word.

    """

    percent: float
    of: Of = "mac"
    floor: float = 0.0
    at: Literal["least", "most"] = "least"

    def __post_init__(self) -> None:
        if not 0 < self.percent < 100:
            raise ValueError(f"`budget` should be above 0 and below 100 %. Found {self.percent:g}.")
        if not 0 <= self.floor < 1:
            raise ValueError(f"`floor` should be at least 0 and below 1. Found {self.floor:g}.")
        if self.of not in ("group", "parameter", "mac"):
            raise ValueError(f"`of` should be group, parameter or mac. Found {self.of!r}.")
        if self.at not in ("least", "most"):
            raise ValueError(f"`at` should be least or most. Found {self.at!r}.")


@dataclass(frozen=True, eq=False)
class Choice:
    """The units that go, marked in `gone` (units,), and what that saves.

    `threshold` is the highest score among those that were still of use, −∞ where none was.
    """

    gone: Flags
    threshold: float
    shares: Shares

    @property
    def count(self) -> int:
        """How many units go."""
        return int(self.gone.sum())


def choose(units: Units, scores: Values, budget: Budget, *, tasks: Sequence[str] | None = None) -> Choice:
    """Return the fewest units in the order of their scores that meet a budget (or the most that keep within it).

    Units that are dead already always go, even if they alone save more than `budget.at` "most" allows.

    Args:
        units: from `engine.pruning.units`.
        scores: (units,), the higher the better; ∞ for those that must stay.
        budget: what is to be saved.
        tasks: the outputs to keep, as `compact` takes them; what only the others used is saved too.

    Raises:
        ValueError: scores that are not one number per unit; a budget that cannot be met while every class keeps a
            channel (the message says what can).

    """
    ranking = Ranking(units, scores, budget.floor)
    what_if = WhatIf(units, tasks)
    found = fewest(lambda count: what_if.shares(ranking.first(count)).of(budget.of), budget.percent, ranking)
    if found is None:
        most = what_if.shares(ranking.first(len(ranking))).of(budget.of)
        raise unreachable(budget.percent, budget.of, most)
    beyond = what_if.shares(ranking.first(found)).of(budget.of) > budget.percent
    count = max(found - 1, ranking.dead) if budget.at == "most" and beyond else found
    gone = ranking.first(count)
    return Choice(gone, ranking.threshold(count), what_if.shares(gone))


def unreachable(percent: float, of: str, most: float) -> ValueError:
    """Return the error of a budget that cannot be met; `most` is what can be saved [%]."""
    reached = math.floor(10 * most) / 10
    return ValueError(
        f"`budget` should be at most {reached:g} % of {of}: more cannot go while each layer keeps what it must. "
        f"Found {percent:g}."
    )


class Ranking:
    """The units that may go, the first to go first: the dead, then the others but for the best of each class.

    Raises:
        ValueError: `scores` is not one number per unit.

    """

    def __init__(self, units: Units, scores: Values, floor: float = 0.0) -> None:
        scores = np.asarray(scores, np.float64)
        if scores.shape != (len(units),) or np.isnan(scores).any():
            raise ValueError(
                f"`scores` should be {len(units)} numbers, one per unit. Found shape {scores.shape} and "
                f"{int(np.isnan(scores).sum())} that are none."
            )
        self._scores = scores
        dead = units.dead
        may_go = ~dead & ~_kept(units, scores, floor) & (scores < np.inf)
        living = np.flatnonzero(may_go)
        self.order: Labels = np.concatenate([np.flatnonzero(dead), living[np.argsort(scores[living], kind="stable")]])
        self.dead = int(dead.sum())

    def __len__(self) -> int:
        return len(self.order)

    def first(self, count: int) -> Flags:
        """Mark the first units, (units,)."""
        gone = np.zeros(len(self._scores), bool)
        gone[self.order[:count]] = True
        return gone

    def threshold(self, count: int) -> float:
        """Return the highest score among the first units that were of use, −∞ where none was."""
        return float(self._scores[self.order[count - 1]]) if count > self.dead else -math.inf


def _kept(units: Units, scores: Values, floor: float) -> Flags:
    """Mark the best living units of each class: one, or the floor's share of the class."""
    kept = np.zeros(len(units), bool)
    for kind in range(len(units.names)):
        members = np.flatnonzero(units.classes == kind)
        living = members[~units.dead[members]]
        best = living[np.argsort(-scores[living], kind="stable")]
        kept[best[: max(1, math.ceil(floor * len(members)))]] = True
    return kept


def fewest(saved: Callable[[int], float], percent: float, ranking: Ranking) -> int | None:
    """Return the fewest units, from the dead on, that save `percent`; None if all that may go do not."""
    low, high = ranking.dead, len(ranking)
    if saved(high) < percent:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if saved(middle) >= percent else (middle + 1, high)
    return low
