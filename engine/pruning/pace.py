"""How much faster is a smaller model? Both are timed in turns, so that a busy machine slows both alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from winnow.engine.graph.modes import memory_unfilled, while_timed

WARM_UP = 2


@dataclass(frozen=True)
class Pace:
    """The time of one piece of work ÷ that of another, round by round: the median, and the range of 80 % of rounds."""

    ratio: float
    p10: float
    p90: float


def pace(dense: nn.Module, small: nn.Module, inputs: dict[str, Any], rounds: int = 20) -> Pace:
    """Return the pace of a smaller model on named inputs, in evaluation mode, with torch's number of threads."""
    gpu = next((parameter.device for parameter in dense.parameters() if parameter.is_cuda), None)

    def clock() -> float:
        if gpu is not None:
            torch.cuda.synchronize(gpu)
        return time.perf_counter()

    with while_timed(dense, inputs), while_timed(small, inputs), torch.inference_mode():
        return time_ratio(lambda: small(**inputs), lambda: dense(**inputs), rounds, clock)


def time_ratio(
    one: Callable[[], object],
    other: Callable[[], object],
    rounds: int = 20,
    clock: Callable[[], float] = time.perf_counter,
) -> Pace:
    """Return the time of `one` ÷ that of `other`: each runs once a round, in an order that alternates."""
    ratios = []
    with memory_unfilled():
        for turn in range(rounds + WARM_UP):
            if turn % 2:
                first, second = _seconds(one, clock), _seconds(other, clock)
            else:
                second, first = _seconds(other, clock), _seconds(one, clock)
            ratios.append(first / second)
    p10, median, p90 = np.percentile(ratios[WARM_UP:], [10, 50, 90])
    return Pace(float(median), float(p10), float(p90))


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start
