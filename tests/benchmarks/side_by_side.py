"""Two pieces of work timed in turns in one process: what a shared machine does to one it does to the other."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def ratio(
    one: Callable[[], object],
    other: Callable[[], object],
    rounds: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Time both in every round, in alternating order, after two rounds of warming up."""
    found = []
    for turn in range(rounds + 2):
        pair = (one, other) if turn % 2 else (other, one)
        first, second = (seconds(work, clock) for work in pair)
        found.append(first / second if turn % 2 else second / first)
    p10, median, p90 = np.percentile(found[2:], [10, 50, 90])
    return Ratio(float(median), float(p10), float(p90))
