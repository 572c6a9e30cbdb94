"""Which units go, so that a wished share of the model is saved: the worst first, until it is enough.

Units that nothing needs go first, since they cost nothing. Then the others, in the order of their scores, but for the
best of each class: one of them always, or more where a floor asks for more. Costs are not additive (a weight lies in
the unit that it writes and in the one that it reads), yet grow with every unit, so that the number of units is found by
bisection, with the cost of each candidate read from the channel graph. Time is measured
(`engine.pruning.latency_budget`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from winnow.engine.graph.weights import Flags, Values
from winnow.engine.pruning.blocks import Blocks
from winnow.engine.pruning.latency_budget import LatencySearch, Timed
from winnow.engine.pruning.ranking import Ranking, fewest
from winnow.engine.pruning.units import Units
from winnow.engine.pruning.what_if import Share, Shares, WhatIf


@dataclass(frozen=True)
class Budget:
    """What is to be saved: `percent` of the model's channels (group), parameters, MACs, latency or memory (its peak).

    `floor` is the share of each class's channels that always stays, one at least; `at` says whether the next unit too
    many is taken ("least") or left ("most"). With `blocks` (`engine.pruning.blocks`), each class keeps the best of what
    would go up to the width that costs nothing; what that keeps is not saved, so that more goes elsewhere.

    Raises:
        ValueError: a percentage outside (0, 100), a floor outside [0, 1), or an unknown word.

    """

    percent: float
    of: Share = "mac"
    floor: float = 0.0
    at: Literal["least", "most"] = "least"
    blocks: Blocks | None = None

    def __post_init__(self) -> None:
        if not 0 < self.percent < 100:
            raise ValueError(f"`budget` must be above 0 and below 100 %, got {self.percent:g}.")
        if not 0 <= self.floor < 1:
            raise ValueError(f"`floor` must be at least 0 and below 1, got {self.floor:g}.")
        if self.of not in ("group", "parameter", "mac", "latency", "memory"):
            raise ValueError(f"`of` must be group, parameter, mac, latency or memory, got {self.of!r}.")
        if self.at not in ("least", "most"):
            raise ValueError(f"`at` must be least or most, got {self.at!r}.")


@dataclass(frozen=True, eq=False)
class Choice:
    """The units that go, marked in `gone` (units,), and what that saves.

    `threshold` is the highest score among those that were still of use, −∞ where none was. `latency` is the share of
    the dense model's time that was saved [%], `memory` that of its peak of activations, where that was the budget.
    """

    gone: Flags
    threshold: float
    shares: Shares
    latency: float | None = None
    memory: float | None = None

    @property
    def count(self) -> int:
        """How many units go."""
        return int(self.gone.sum())


def choose(
    units: Units,
    scores: Values,
    budget: Budget,
    *,
    tasks: Sequence[str] | None = None,
    timed: Timed | None = None,
) -> Choice:
    """Return the fewest units in the order of their scores that meet a budget (or the most that keep within it).

    Units that are dead already always go, even if they alone save more than `budget.at` "most" allows. A budget of
    latency is met as nearly as a few timed candidates can tell.

    Args:
        units: from `engine.pruning.units`.
        scores: (units,), the higher the better; ∞ for those that must stay.
        budget: what is to be saved.
        tasks: the outputs to keep, as `compact` takes them; what only the others used is saved too.
        timed: for a budget of latency, on what and how candidates are timed.

    Raises:
        ValueError: scores that are not one number per unit; a budget that cannot be met while every class keeps a
            channel (the message says what can); a budget of latency without `timed`.

    """
    ranking = Ranking(units, scores, budget.floor, tasks, budget.blocks)
    what_if = WhatIf(units, tasks)
    if budget.of == "latency":
        if timed is None:
            raise ValueError(
                "`timed` must be given for a budget of latency, got None. It says how candidates are timed."
            )
        return _by_latency(LatencySearch(units, ranking, replace(timed, tasks=tasks)), ranking, what_if, budget)

    def saved(count: int) -> float:
        gone = ranking.first(count)
        return what_if.memory(gone) if budget.of == "memory" else what_if.shares(gone).of(budget.of)

    found = fewest(saved, budget.percent, ranking)
    if found is None:
        raise unreachable(budget.percent, budget.of, saved(len(ranking)))
    beyond = saved(found) > budget.percent
    count = max(found - 1, ranking.dead) if budget.at == "most" and beyond else found
    choice = _choice(ranking, what_if, count)
    return replace(choice, memory=saved(count)) if budget.of == "memory" else choice


def choose_up_to(
    units: Units,
    scores: Values,
    highest: float,
    *,
    floor: float = 0.0,
    tasks: Sequence[str] | None = None,
    blocks: Blocks | None = None,
) -> Choice:
    """Return all units whose score is at most `highest`, but for the best of each class, and those that are dead.

    With `blocks`, as a `Budget` has them, each class keeps more where that costs nothing.
    """
    ranking = Ranking(units, scores, floor, tasks, blocks)
    count = ranking.dead + int((np.asarray(scores)[ranking.order[ranking.dead :]] <= highest).sum())
    return _choice(ranking, WhatIf(units, tasks), count)


def _choice(ranking: Ranking, what_if: WhatIf, count: int, latency: float | None = None) -> Choice:
    gone = ranking.first(count)
    return Choice(gone, ranking.threshold(count), what_if.shares(gone), latency)


def _by_latency(search: LatencySearch, ranking: Ranking, what_if: WhatIf, budget: Budget) -> Choice:
    bracket = search.bracket(budget.percent)
    if bracket is None:
        raise unreachable(budget.percent, "latency", search.saved(len(ranking)))
    low, high = bracket
    count = low if budget.at == "most" else high
    return _choice(ranking, what_if, count, search.saved(count))


def unreachable(percent: float, of: str, most: float) -> ValueError:
    """Return the error of a budget that cannot be met; `most` is what can be saved [%]."""
    reached = math.floor(10 * most) / 10
    return ValueError(
        f"`budget` must be at most {reached:g} % of {of}, got {percent:g}. Each layer keeps at least one channel, and "
        "its floor. Ask for less, or lower the floor."
    )
