"""Seconds of a forward pass, of several models in turns, so that a busy machine slows them all alike.

In each round every runner gets one short `blocked_autorange` of torch.utils.benchmark, which warms up, chooses a block
long enough for the clock, sets the number of threads and waits for a GPU. The order rotates from round to round. A
round's figure is the median of its blocks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.benchmark import Timer

from winnow.engine.graph.examples import batched
from winnow.engine.graph.modes import memory_unfilled, while_timed
from winnow.engine.graph.trace import named_inputs

STEADY = 1.5  # p90/p10 above which the machine was too busy: do not quote such a figure
Runner = Callable[[], Any]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Timing:
    """The settings of a timing: how often and how long to measure.

    rounds: measurements per model, at least 3. seconds: time for each; at least one pass is timed, after one to warm
    up. threads: of the forward pass; None for as many as torch uses now.

    Raises:
        ValueError: a value out of range.

    """

    rounds: int = 20
    seconds: float = 0.02
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("rounds", 3), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"`{name}` must be a whole number from {least}, got {value!r}.")
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"`seconds` must be above 0 and finite, got {self.seconds!r}.")

    @property
    def used_threads(self) -> int:
        """The number of threads of each pass."""
        return torch.get_num_threads() if self.threads is None else self.threads


@dataclass(frozen=True)
class Seconds:
    """The time of one pass over the rounds [s]; `steady` if p90/p10 is at most 1.5."""

    median: float
    p10: float
    p90: float

    @property
    def steady(self) -> bool:
        """Whether the machine was idle enough to quote the figure."""
        return self.p90 <= STEADY * self.p10


def in_turns(
    runners: Mapping[Key, Runner], timing: Timing, progress: Callable[[int, int], None] | None = None
) -> dict[Key, Seconds]:
    """Return the seconds of each runner; `progress` is called with (rounds done, rounds)."""
    return {name: summed_up(values) for name, values in each_round(runners, timing, progress).items()}


def each_round(
    runners: Mapping[Key, Runner], timing: Timing, progress: Callable[[int, int], None] | None = None
) -> dict[Key, NDArray[np.float64]]:
    """Return the seconds of each runner in every round, (rounds,), so that ratios can be taken within a round."""
    timers = {
        name: Timer("run()", globals={"run": run}, num_threads=timing.used_threads) for name, run in runners.items()
    }
    found: dict[Key, list[float]] = {name: [] for name in runners}
    names = list(runners)
    for turn in range(timing.rounds):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            with memory_unfilled():
                found[name].append(timers[name].blocked_autorange(min_run_time=timing.seconds).median)
        if progress is not None:
            progress(turn + 1, timing.rounds)
    return {name: np.array(values) for name, values in found.items()}


def latency(
    model: nn.Module,
    example_inputs: Any,
    *,
    batches: tuple[int, ...] = (1, 16),
    rounds: int = 20,
    threads: int | None = None,
) -> pd.DataFrame:
    """Return the seconds per forward pass in eval mode, one row per batch size.

    Columns: batch; median, p10, p90 over the rounds [s]; threads; steady: False where p90/p10 is above 1.5, because the
    machine was busy. Do not quote such a figure.

    Raises:
        ValueError: a batch size, a number of rounds or of threads out of range.

    Examples:
        >>> times = latency(nn.Linear(4, 2), torch.ones(1, 4), batches=(1,), rounds=3)
        >>> bool((times["p10"] <= times["p90"]).all())
        True

    """
    check_batches(batches)
    timing, rows = Timing(rounds, threads=threads), []
    with while_timed(model, named_inputs(model, example_inputs)):
        for size in batches:
            (found,) = in_turns({"": eager(model, batched(model, example_inputs, size))}, timing).values()
            rows.append([size, found.median, found.p10, found.p90, timing.used_threads, found.steady])
    return pd.DataFrame(rows, columns=["batch", "median", "p10", "p90", "threads", "steady"])


def check_batches(batches: Sequence[int]) -> None:
    """Raise `ValueError` where a batch size is not a positive whole number."""
    for size in batches:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"`batches` must be whole numbers from 1, got {size!r}.")


def eager(model: nn.Module, inputs: Mapping[str, Any]) -> Runner:
    """Return a function that runs one forward pass in torch, in inference mode."""

    def run() -> None:
        with torch.inference_mode():
            model(**inputs)

    return run


def summed_up(values: NDArray[np.float64]) -> Seconds:
    """Return the median and the spread of some rounds."""
    p10, median, p90 = np.percentile(values, [10, 50, 90])
    return Seconds(float(median), float(p10), float(p90))
