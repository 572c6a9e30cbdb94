"""The metrics of every task as more and more units are removed, share by share, without refit."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd
from torch import nn

from winnow.engine.graph.weights import Values
from winnow.engine.pruning.ranking import Ranking
from winnow.engine.pruning.units import Units
from winnow.engine.pruning.what_if import WhatIf

SHARES = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)
COLUMNS = ["share", "threshold", "groups", "parameters", "macs", "task", "metric", "value"]
Metrics = Mapping[str, Mapping[str, float]]
Evaluate = Callable[[nn.Module], Metrics]


def sweep_steps(
    units: Units, scores: Values, evaluate: Evaluate, shares: Sequence[float] = SHARES, *, floor: float = 0.0
) -> Iterator[pd.DataFrame]:
    """Yield what is saved and every metric for several shares of units, share by share, the lowest scores first.

    Columns: share (of the units, asked for), threshold (the highest score that went, −∞ for none), groups, parameters,
    macs (saved, of the model; all in per cent), task, metric, value. The best of each class always stays, or the
    floor's share of it, so that `groups` may fall short of `share`.

    Args:
        units: from `engine.pruning.units`; their model is evaluated in a copy and never changed.
        scores: (units,), the higher the better.
        evaluate: model → {task: {metric: value}}; it sees to the evaluation mode.
        shares: per cent of the units, each from 0 to below 100.
        floor: share of each class's channels that always stays, one at least.

    Raises:
        ValueError: scores that are not one number per unit, or a share out of range.

    """
    if wrong := [share for share in shares if not 0 <= share < 100]:
        raise ValueError(f"`shares` must be at least 0 and below 100 %, got {wrong[0]:g}.")
    ranking, what_if = Ranking(units, scores, floor), WhatIf(units)
    for share in shares:
        count = max(min(round(share / 100 * len(units)), len(ranking)), ranking.dead)
        gone = ranking.first(count)
        saved, metrics = what_if.shares(gone), evaluate(what_if.without(gone))
        place = [share, ranking.threshold(count), saved.group, saved.parameter, saved.mac]
        rows = [[*place, task, name, value] for task, own in metrics.items() for name, value in own.items()]
        yield pd.DataFrame(rows, columns=COLUMNS)
