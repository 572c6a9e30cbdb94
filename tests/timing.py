"""Processor time by the speed of this machine: a budget in it holds on slower processors, and beside other work."""

import time
from collections.abc import Callable

ADDITIONS = 500_000
REFERENCE = 0.02  # s: what they take on the processor that the budgets of tests were set on


def standard_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of some work [s], as that processor would have needed it, or more on a quicker one.

    Plain additions right before and after it tell how slow this one is now.
    """
    before = _seconds(_additions)
    taken = _seconds(work)
    slowness = (before + _seconds(_additions)) / 2 / REFERENCE
    return taken / max(slowness, 1.0)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _additions() -> int:
    total = 0
    for number in range(ADDITIONS):
        total += number
    return total
