"""What each layer alone can lose: the fall of every task as its channels go, and the share that a tolerance allows.

A row of the table `sensitivity` is one layer × share × task (`COLUMNS`):

| column                 |                                                                                       |
|------------------------|---------------------------------------------------------------------------------------|
| layer, channels        | the layer, or the stream that several layers share, and how many channels it has      |
| unused                 | how many of them nothing used before the cut                                          |
| share, cut             | what was asked for [% of the channels], and how many channels were then gone          |
| parameters, macs       | what this cut alone saves, beside what was unused [% of the network]                  |
| task, metric, unit     | the task and the metric that stands for it; the loss where it has none                |
| higher_is_better       | whether more of the metric is better                                                  |
| dense, value           | the metric before the cut and after it, on the same images                            |
| fall                   | 100 · (how much worse) ÷ |dense| [%]; below 0 it is better; NaN where dense is 0 or NaN |

A share costs what its worst task loses, and no less than any smaller share of the same layer. So a larger share is
suggested only where all smaller ones are tolerated too. The layers were cut one at a time: all cuts together cost more.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd

from winnow.engine.studies.delta import relative_gains

COLUMNS = (
    "layer", "channels", "unused", "share", "cut", "parameters", "macs", "task", "metric", "unit", "higher_is_better",
    "dense", "value", "fall",
)  # fmt: skip
SUGGESTED = ("layer", "channels", "unused", "share", "cut", "parameters", "macs", "cost", "task")


def with_falls(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame (value, dense, higher_is_better, …) with the column `fall` [%].

    A metric that is lost by the cut (a value that is no number, where the dense one is) falls by ∞.
    """
    fall = -relative_gains(frame.rename(columns={"dense": "baseline"}))
    known = np.isfinite(frame["dense"].astype(float)) & (frame["dense"].astype(float) != 0)
    return frame.assign(fall=fall.mask(known & ~np.isfinite(frame["value"].astype(float)), np.inf).where(known))


def cut_costs(table: pd.DataFrame, tasks: Collection[str] = ()) -> pd.DataFrame:
    """Return one row per layer and share: SUGGESTED; `cost` is the fall of the worst task, at least that of less.

    `tasks` are those that count; none given: all. A cost is never below 0. Tasks whose fall is not known do not count.

    Raises:
        ValueError: no task has a known fall.

    """
    own = table[table["task"].isin(list(tasks))] if tasks else table
    own = own[own["fall"].notna()]
    if own.empty and len(table):
        known = ", ".join(dict.fromkeys(table["task"].astype(str)))
        raise ValueError(f"`tasks` must have a metric that is not 0 before the cut, got none among {known}.")
    worst = own.sort_values("fall", ascending=False, kind="stable").drop_duplicates(["layer", "share"])
    order = {layer: place for place, layer in enumerate(dict.fromkeys(table["layer"]))}
    worst = worst.assign(_place=worst["layer"].map(order)).sort_values(["_place", "share"], kind="stable")
    cost = worst.groupby("_place")["fall"].cummax().clip(lower=0) + 0.0  # no −0
    return worst.assign(cost=cost)[list(SUGGESTED)].reset_index(drop=True)


def suggested_budgets(table: pd.DataFrame, tolerance: float, tasks: Collection[str] = ()) -> pd.DataFrame:
    """Return one row per layer, as `cut_costs` has them: the largest share that costs each task at most `tolerance` %.

    Where even the smallest share costs more, share, cut and savings are 0, and `cost` is what the smallest would cost.
    """
    costs = cut_costs(table, tasks)
    first = costs.drop_duplicates("layer").set_index("layer")
    allowed = costs[costs["cost"] <= tolerance].drop_duplicates("layer", keep="last").set_index("layer")
    nothing = first.assign(share=0.0, cut=first["unused"], parameters=0.0, macs=0.0)
    found = pd.concat([allowed, nothing[~nothing.index.isin(allowed.index)]]).reindex(first.index)
    return found.reset_index()[list(SUGGESTED)]
