"""Which classes or ranges of values does one channel separate? The AUROC of its activation, image by image clustered.

The question about each class: does the channel answer more strongly where the class is than where it is not? For a
dense task an observation is a position of the channel's own grid, and the label that of the image's pixel in its
middle; otherwise it is an image, and the score the mean activation. AUROC is the probability that a random observation
of the class has a greater activation than a random other one, ties counting half (the Mann–Whitney statistic): 0.5 says
nothing, 1 separates perfectly, 0 too, with the sign turned. Depth and other numbers are cut at their quartiles.

Positions of one image are not independent, so images are the clusters of the interval (Obuchowski 1997, which for one
observation per cluster is DeLong et al. 1988). With M observations of the class and N others, V the share of the other
kind that an observation is right about, and the sums running over images i:

    var θ = S10/M + S01/N + 2 S11/(M N),  S10 = I₁/((I₁ − 1) M) Σᵢ (V10ᵢ − mᵢ θ)²,  S01 and S11 alike

The 95 % interval is taken on the logit scale. It holds for one question; among many, some miss 0.5 by chance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.data.kinds import KINDS
from winnow.data.sample import Field

COLUMNS = ("layer", "channel", "task", "value", "unit", "auroc", "low", "high", "positives", "observations", "images")
SIDE = 24  # positions along a side of a grid that are looked at
QUARTERS = 4
NORMAL = 1.959964
Array = NDArray[Any]


@dataclass(frozen=True)
class Auroc:
    """An area under the curve and its 95 % interval, NaN where nothing can be said; how many were positive."""

    value: float
    low: float
    high: float
    positives: int
    observations: int


def clustered_auroc(scores: Array, positive: Array, cluster: Array) -> Auroc:
    """Return the AUROC of scores (n,) for positive (n,) bool, with images `cluster` (n,) as the clusters."""
    ranked = _Ranked(scores, cluster)
    return ranked.auroc(positive, np.ones(len(scores), bool))


def separation_table(
    activations: Mapping[str, tuple[Sequence[int], Array]], fields: Mapping[str, Field], targets: Mapping[str, Array]
) -> pd.DataFrame:
    """Return the rows of COLUMNS.

    Args:
        activations: {layer: (channels, their activations (C, N, h, w) over N images)}.
        fields: what each task is about; a task of which no class or range is known has no rows.
        targets: {task: (N, …)}, dense ones at the size of the images.

    """
    asked = {task: field for task, field in fields.items() if task in targets}
    rows = [
        [layer, *row]
        for layer, (channels, values) in activations.items()
        for row in _rows_of_layer(channels, values, asked, targets)
    ]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def _rows_of_layer(
    channels: Sequence[int], values: Array, fields: Mapping[str, Field], targets: Mapping[str, Array]
) -> Iterator[list[object]]:
    """Yield what the channels of a layer separate: COLUMNS without the layer, where there is anything to find."""
    few, mean = _sampled(values), values.mean((2, 3), dtype=np.float64)
    images = np.broadcast_to(np.arange(values.shape[1])[:, None, None], few.shape[1:])
    asked = [
        (task, KINDS[field.kind].dense, question)
        for task, field in fields.items()
        if few[0, 0].size > 1 or not KINDS[field.kind].dense
        for question in questions(field, _at(targets[task], field, few.shape[2:]))
    ]
    for place, channel in enumerate(channels):
        scores = {False: (mean[place], np.arange(values.shape[1])), True: (few[place].ravel(), images.ravel())}
        ranked = {dense: _Ranked(*scores[dense]) for dense in {dense for _, dense, _ in asked}}
        for task, dense, question in asked:
            known = question.known.ravel()
            found = ranked[dense].auroc(question.positive.ravel(), known)
            if found.positives:
                numbers = [found.value, found.low, found.high, found.positives, found.observations]
                seen = ranked[dense].images(known)
                yield [int(channel), task, question.value, question.unit, *numbers, seen]


@dataclass(frozen=True)
class Question:
    """A class or range: what it is called, where it is, and where that is known."""

    value: str
    unit: str
    positive: Array
    known: Array


def questions(field: Field, target: Array) -> Iterator[Question]:
    """Yield the questions about a target (N, …): one for each class, label or quarter of the known values."""
    if field.kind in ("segmentation", "classification"):
        yield from (Question(name, "", target == number, target >= 0) for number, name in enumerate(field.classes))
    elif field.kind == "edges":
        yield Question("edge", "", target == 1, target >= 0)
    elif field.kind == "multilabel":
        for number, name in enumerate(field.classes):
            yield Question(name, "", target[..., number] == 1, target[..., number] >= 0)
    elif field.kind in ("depth", "map", "regression", "vector"):
        yield from _ranges(field, target)


def _ranges(field: Field, target: Array) -> Iterator[Question]:
    if field.kind == "vector":
        for number, name in enumerate(field.classes):
            own = target[..., number]
            yield from _quarters(own, np.isfinite(own), f"{name}: ", field.unit)
        return
    known = np.isfinite(target) & ((target > 0) if field.kind == "depth" else True)
    yield from _quarters(target, known, "", field.unit)


def _quarters(target: Array, known: Array, before: str, unit: str) -> Iterator[Question]:
    if not known.any():
        return
    ends = np.unique(np.quantile(target[known], np.linspace(0, 1, QUARTERS + 1)))
    for place, (low, high) in enumerate(pairwise(ends)):
        last = place == len(ends) - 2
        within = known & (target >= low) & ((target <= high) if last else (target < high))
        yield Question(f"{before}{low:.3g} to {high:.3g}", unit, within, known)


class _Ranked:
    """Scores sorted once, so that every question about them takes linear time."""

    def __init__(self, scores: Array, cluster: Array) -> None:
        self._value, self._place = np.unique(scores, return_inverse=True)
        self._cluster, self._clusters = cluster, int(cluster.max(initial=-1)) + 1

    def images(self, known: Array) -> int:
        """Return how many images have an observation."""
        return len(np.unique(self._cluster[known]))

    def auroc(self, positive: Array, known: Array) -> Auroc:
        """Return the AUROC among the known observations."""
        one, other = positive & known, ~positive & known
        many, rest = int(one.sum()), int(other.sum())
        nan = float("nan")
        if not many or not rest or not np.isfinite(self._value).all():
            return Auroc(nan, nan, nan, many, many + rest)
        ones, others = (np.bincount(self._place[part], minlength=len(self._value)) for part in (one, other))
        below = (np.cumsum(others) - others / 2) / rest  # share of the others with a smaller score, at each score
        above = (many - np.cumsum(ones) + ones / 2) / many
        theta = float((below * ones).sum() / many)
        error = self._error((one, other), (below, above), theta)
        return Auroc(theta, *_interval(theta, error), many, many + rest)

    def _error(self, parts: tuple[Array, Array], right: tuple[Array, Array], theta: float) -> float:
        """Return the standard error, NaN where fewer than two images have observations of one kind."""
        sums, counts = [], []
        for part, share in zip(parts, right, strict=True):
            own, place = self._cluster[part], self._place[part]
            count = np.bincount(own, minlength=self._clusters)
            sums.append(np.bincount(own, share[place], minlength=self._clusters) - count * theta)
            counts.append(count)
        with_one, with_other, with_any = ((count > 0).sum() for count in (*counts, counts[0] + counts[1]))
        if min(with_one, with_other) < 2:
            return float("nan")
        (many, rest), (one, other) = (float(count.sum()) for count in counts), sums
        squares = with_one / (with_one - 1) * (one**2).sum() / many**2
        squares += with_other / (with_other - 1) * (other**2).sum() / rest**2
        both = with_any / (with_any - 1) * (one * other).sum()
        return float(np.sqrt(max(squares + 2 * both / (many * rest), 0.0)))


def _interval(theta: float, error: float) -> tuple[float, float]:
    """Return the interval of an AUROC on the logit scale; NaN where it is 0 or 1, or the error is not known."""
    if not 0 < theta < 1 or error != error:
        return float("nan"), float("nan")
    middle, half = np.log(theta / (1 - theta)), NORMAL * error / (theta * (1 - theta))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (middle - half, middle + half))
    return low, high


def _middles(length: int, wanted: int) -> Array:
    """Return the places in the middle of `wanted` equal parts of a length."""
    return ((np.arange(wanted) + 0.5) * length / wanted).astype(int)


def _sampled(values: Array) -> Array:
    rows, columns = (_middles(length, min(length, SIDE)) for length in values.shape[2:])
    found: Array = values[:, :, rows[:, None], columns]
    return found


def _at(target: Array, field: Field, grid: tuple[int, ...]) -> Array:
    """Return a dense target (N, H, W) at the middles of a grid; another as it is."""
    if not KINDS[field.kind].dense:
        return target
    rows, columns = (_middles(length, wanted) for length, wanted in zip(target.shape[1:3], grid, strict=True))
    found: Array = target[:, rows[:, None], columns]
    return found
