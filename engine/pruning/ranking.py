"""The order in which units may go: the dead first, then the others by their scores, but for the best of each class."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from winnow.engine.graph.partition import Labels
from winnow.engine.graph.weights import Flags, Values
from winnow.engine.pruning.blocks import Blocks
from winnow.engine.pruning.units import Units


class Ranking:
    """The units that may go, the first to go first: the dead, then the others but for the best of each class.

    A unit is dead if no output of `tasks` (all by default) needs it. With `blocks`, a class keeps the best of those
    that would go up to the width that costs nothing.

    Raises:
        ValueError: `scores` is not one number per unit; `tasks` names what the model does not return.

    """

    def __init__(
        self,
        units: Units,
        scores: Values,
        floor: float = 0.0,
        tasks: Sequence[str] | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        scores = np.asarray(scores, np.float64)
        if scores.shape != (len(units),) or np.isnan(scores).any():
            raise ValueError(
                f"`scores` must be {len(units)} numbers, one per unit, got shape {scores.shape} and "
                f"{int(np.isnan(scores).sum())} NaN."
            )
        self._scores = scores
        dead = units.idle(tasks)
        may_go = ~dead & ~_kept(units, dead, scores, floor) & (scores < np.inf)
        living = np.flatnonzero(may_go)
        self.order: Labels = np.concatenate([np.flatnonzero(dead), living[np.argsort(scores[living], kind="stable")]])
        self.dead = int(dead.sum())
        self._blocks, self._classes = blocks, units.classes

    def __len__(self) -> int:
        return len(self.order)

    def first(self, count: int) -> Flags:
        """Mark the first units, (units,)."""
        gone = np.zeros(len(self._scores), bool)
        gone[self.order[:count]] = True
        if self._blocks is not None:
            gone[self._free_of_charge(count, gone)] = False
        return gone

    def _free_of_charge(self, count: int, gone: Flags) -> list[int]:
        """Return the units among the first that stay, the best of each class, since the width costs nothing."""
        blocks, found = self._blocks, list[int]()
        for kind in np.unique(self._classes) if blocks is not None else ():
            members = self._classes == kind
            width, most = int((members & ~gone).sum()), int(members.sum())
            more = min(blocks.free(width), most) - width if blocks is not None and width else 0
            own = self.order[:count][members[self.order[:count]]]
            found += own[len(own) - more :].tolist()
        return found

    def threshold(self, count: int) -> float:
        """Return the highest score among the first units that were of use and go, −∞ where none does."""
        gone = self.first(count)
        gone[self.order[: self.dead]] = False
        return float(self._scores[gone].max(initial=-math.inf))


def _kept(units: Units, dead: Flags, scores: Values, floor: float) -> Flags:
    """Mark the best living units of each class: one, or the floor's share of the class."""
    kept = np.zeros(len(units), bool)
    for kind in range(len(units.names)):
        members = np.flatnonzero(units.classes == kind)
        living = members[~dead[members]]
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
