"""Two pieces of work timed in turns in one process: what a shared machine does to one it does to the other."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from winnow.engine.pruning.pace import time_ratio

BUSY = 1.5  # p90/p10 of the rounds' ratios, above which the machine was too busy to tell


@dataclass(frozen=True)
class Ratio:
    """The time of one ÷ the time of the other: median over the rounds, and its spread."""

    median: float
    p10: float
    p90: float

    def __str__(self) -> str:
        busy = "  (busy machine: do not quote)" if self.p90 / self.p10 > BUSY else ""
        return f"{self.median:.3f} (p10 {self.p10:.3f}, p90 {self.p90:.3f}){busy}"


def ratio(
    one: Callable[[], object],
    other: Callable[[], object],
    rounds: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Time both in every round, in alternating order, after two rounds of warming up."""
    found = time_ratio(one, other, rounds, clock)
    return Ratio(found.ratio, found.p10, found.p90)
