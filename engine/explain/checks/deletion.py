"""Deletion curves: a layer's channels are deleted, the most relevant first; the loss rises sooner than in random order.

Only surviving channels are ordered, as `engine.explain.checks.agreement` defines them. `engine.explain.checks.ablation`
carries the deletions out.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from winnow.engine.explain.checks.ablation import Deletion
from winnow.engine.explain.checks.agreement import KEYS, survivors
from winnow.engine.explain.checks.badges import COLUMNS

FRACTIONS = (0.1, 0.25, 0.5, 0.75)  # of a layer's surviving channels
DRAWS = 3
LEAST = 4  # survivors: with fewer there is no curve
MARK = "deletion"


@dataclass(frozen=True)
class Order:
    """The channels of a layer in the order of their deletion: by a task's relevance, or drawn at random."""

    layer: str
    name: str
    channels: tuple[int, ...]

    def deletions(self) -> list[Deletion]:
        """Return the deletion at each fraction, each with at least one channel more."""
        count = len(self.channels)
        sizes = [max(place, round(fraction * count)) for place, fraction in enumerate(FRACTIONS, 1)]
        return [Deletion(self.layer, self.channels[:size], f"{MARK}:{self.name}:{size / count:.6f}") for size in sizes]


def orders(relevance: pd.DataFrame, seed: int, draws: int = DRAWS) -> list[Order]:
    """Return the orders of every layer with at least LEAST survivors: one per task, and `draws` random ones."""
    chance = np.random.default_rng(seed)
    alive = relevance.merge(survivors(relevance)[KEYS], on=KEYS)
    found = []
    for layer, own in alive.groupby("layer", sort=False):
        channels = own["channel"].unique()
        if len(channels) < LEAST:
            continue
        for task, rows in own.groupby("task", sort=False):
            ordered = rows.sort_values("relevance", ascending=False, kind="stable")["channel"]
            found.append(Order(str(layer), f"relevance:{task}", tuple(map(int, ordered))))
        drawn = [tuple(map(int, chance.permutation(channels))) for _ in range(draws)]
        found += [Order(str(layer), f"random:{draw}", order) for draw, order in enumerate(drawn)]
    return found


def curve_points(ablated: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the curves: layer, task, order, draw, fraction, channels, loss, loss_change, effect.

    order is `relevance` (of the row's own task) or `random`, with its draw; at fraction 0 nothing is deleted yet.
    """
    own = ablated[ablated["group"].str.startswith(f"{MARK}:")].reset_index(drop=True)
    parts = own["group"].str.split(":", expand=True)
    if own.empty:
        parts = pd.DataFrame(columns=range(4))
    points = own[["layer", "task", "channels", "loss", "loss_change", "effect"]].assign(
        order=parts[1], draw=parts[2], fraction=parts[3].astype(float)
    )
    points = points[(points["order"] == "random") | (points["draw"] == points["task"])]
    points = points.assign(draw=points["draw"].where(points["order"] == "random", "0").astype(int))
    start = points.drop_duplicates(["layer", "task", "order", "draw"]).assign(
        loss=lambda frame: frame["loss"] - frame["loss_change"], loss_change=0.0, effect=0.0, fraction=0.0, channels=0
    )
    names = ["layer", "task", "order", "draw", "fraction", "channels", "loss", "loss_change", "effect"]
    whole = pd.concat([start, points], ignore_index=True)[names]
    depth = {layer: place for place, layer in enumerate(dict.fromkeys(own["layer"]))}
    return whole.sort_values(names[:5], key=lambda c: c.map(depth) if c.name == "layer" else c, ignore_index=True)


def deletion_figures(points: pd.DataFrame) -> pd.DataFrame:
    """Return `deletion_auc` and `deletion_random` of every layer and task: mean rise of the loss along the curve."""
    rows = []
    for (layer, task), own in points.groupby(["layer", "task"], sort=False):
        areas = {order: _area(curve) for order, curve in own.groupby("order")}
        rows += [
            (layer, task, figure, areas[order])
            for order, figure in (("relevance", "deletion_auc"), ("random", "deletion_random"))
            if order in areas
        ]
    return pd.DataFrame(rows, columns=COLUMNS[:4])


def _area(curve: pd.DataFrame) -> float:
    """Return the area under loss_change over the fraction, divided by the width: mean over draws."""
    found = []
    for _, own in curve.groupby("draw"):
        x, y = own["fraction"].to_numpy(float), own["loss_change"].to_numpy(float)
        found.append(float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0])))
    return float(np.mean(found))
