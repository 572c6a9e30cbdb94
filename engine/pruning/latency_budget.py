"""A budget of measured time: candidates are made small and timed beside the dense model until one is near enough.

Time follows the multiply-accumulates only roughly, so each candidate is really compacted and timed. Between two timed
candidates the logarithm of the time is taken to be linear in that of the multiply-accumulates left: that says which
one to try next, and a handful of tries suffice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from winnow.engine.pruning.compact import compact
from winnow.engine.pruning.cost import Coefficients
from winnow.engine.pruning.pace import Pace, pace
from winnow.engine.pruning.ranking import Ranking, fewest
from winnow.engine.pruning.units import Units
from winnow.engine.pruning.what_if import WhatIf

NEAR = 1.0  # points of the budget: no nearer than that, since no timing is better
LEAST = 1e-6  # of the multiply-accumulates, so that the logarithm is finite


@dataclass(frozen=True)
class Timed:
    """How candidates are timed: on which inputs, how many rounds each and how many at most, with which gathers.

    `round_to` as `compact` takes it.

    Raises:
        ValueError: fewer than 3 rounds or 2 tries.

    """

    inputs: dict[str, Any] = field(repr=False)
    rounds: int = 20
    tries: int = 7
    gather: Literal["auto", "always", "never"] | Coefficients = "auto"
    tasks: Sequence[str] | None = None
    round_to: Literal["auto"] | int | None = None

    def __post_init__(self) -> None:
        for name, least in (("rounds", 3), ("tries", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")


class LatencySearch:
    """Tries numbers of units and remembers what the clock said: the time of the dense model that each saves [%]."""

    def __init__(self, units: Units, ranking: Ranking, timed: Timed) -> None:
        self._units, self._ranking, self._timed = units, ranking, timed
        self._what_if = WhatIf(units, timed.tasks)
        self.paces: dict[int, Pace] = {}

    def saved(self, count: int) -> float:
        """Return the share of the dense model's time [%] that the first `count` units save, timed once."""
        if count not in self.paces:
            masked = self._what_if.without(self._ranking.first(count))
            timed = self._timed
            options: Any = {"gather": timed.gather, "tasks": timed.tasks, "round_to": timed.round_to}
            small = compact(masked, timed.inputs, **options).model
            self.paces[count] = pace(self._units.graph.model, small, timed.inputs, timed.rounds)
        return 100 * (1 - self.paces[count].ratio)

    def bracket(self, percent: float) -> tuple[int, int] | None:
        """Return a number of units that saves less and one that saves as much as asked; None if all that may go do not.

        Where the first is the dead ones, it may save as much as asked too.
        """
        low, high = self._ranking.dead, len(self._ranking)
        if self.saved(high) < percent:
            return None
        while high - low > 1 and len(self.paces) < self._timed.tries and self.saved(high) > percent + NEAR:
            middle = min(max(self._likely(low, high, percent), low + 1), high - 1)
            low, high = (low, middle) if self.saved(middle) >= percent else (middle, high)
        return low, high

    def _likely(self, low: int, high: int, percent: float) -> int:
        """Return the number of units that should save `percent`, from the two that bracket it."""
        (m0, t0), (m1, t1) = self._point(low), self._point(high)
        slope = (t1 - t0) / (m1 - m0) if m1 < m0 and t1 < t0 else 1.0
        macs = math.exp(m0 + (math.log(1 - percent / 100) - t0) / slope)
        found = fewest(self._macs, 100 * (1 - macs), self._ranking)
        return high if found is None else found

    def _point(self, count: int) -> tuple[float, float]:
        """Return the logarithms of what is left of multiply-accumulates and of time."""
        macs = math.log(max(1 - self._macs(count) / 100, LEAST))
        return macs, math.log(self.paces[count].ratio) if count in self.paces else macs

    def _macs(self, count: int) -> float:
        return self._what_if.shares(self._ranking.first(count)).mac
