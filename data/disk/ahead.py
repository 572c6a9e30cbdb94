"""Reading ahead: the results of a function for 0 … n - 1, in this order, computed by several threads."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
AHEAD = 4  # results that wait, for each thread


def in_order(function: Callable[[int], Result], count: int) -> Iterator[Result]:
    """Yield function(0), function(1), …; an error is raised in its place. Decoding files leaves Python's lock free."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        yield from _windowed(pool, function, count, AHEAD * threads)


def _windowed(pool: ThreadPoolExecutor, function: Callable[[int], Result], count: int, most: int) -> Iterator[Result]:
    """Yield the results with at most `most` that wait; who stops reading lets go of those."""
    waiting: deque[Future[Result]] = deque()
    try:
        for index in range(count):
            waiting.append(pool.submit(function, index))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
