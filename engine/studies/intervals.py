"""Means over seeds with their confidence intervals: Student's t, two-sided. Differences are paired, seed by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over `n` values, their standard deviation (n − 1; NaN for one), and the interval of the mean."""

    mean: float
    std: float
    n: int
    low: float
    high: float


def mean_of(values: Sequence[float], confidence: float = CONFIDENCE) -> Mean:
    """Return the mean of some values and its interval, mean ± t · std / √n; infinite for a single value.

    For paired differences it is the paired interval.

    Raises:
        ValueError: no values, or a confidence that is not between 0 and 1.

    """
    if not values:
        raise ValueError("`values` must hold at least one value, got none.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1, got {confidence}.")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Mean(mean, math.nan, 1, -math.inf, math.inf)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _quantile(0.5 + confidence / 2, n - 1) * std / math.sqrt(n)
    return Mean(mean, std, n, mean - half, mean + half)


def _quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # a second of import; scipy.stats takes five

    return float(stdtrit(freedom, probability))
