"""Relevance compared with ablation, over surviving channels only. Tables in, tables out; no torch.

Where most channels are dead, any score agrees with the truth about those: a correlation over all channels would be 0.99
for nonsense too. So only channels count that the layer reads and that have an effect or a relevance. A stratified
sample of them is ablated: the survivors of a layer in order of their relevance over all tasks are cut into as many
strata as there are channels to choose, and one is drawn from each.

Before shares are made, both sides are divided by their sums per task over the sample, as in `engine.explain.usage`.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from winnow.engine.explain.checks.badges import COLUMNS
from winnow.engine.explain.usage import relevance_arrays

KEYS = ["layer", "channel"]
Figure = Callable[[pd.DataFrame], dict[str, float]]


def sample(relevance: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return `count` surviving cells of every layer, or all where there are fewer: layer, channel."""
    chance = np.random.default_rng(seed)
    chosen = []
    for layer, own in survivors(relevance).groupby("layer", sort=False):
        ordered = own.sort_values("total", ascending=False, kind="stable")["channel"].to_numpy()
        strata = np.array_split(ordered, min(count, len(ordered))) if count else []
        chosen += [(layer, int(chance.choice(stratum))) for stratum in strata]
    return pd.DataFrame(chosen, columns=KEYS)


def survivors(relevance: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that the layer reads, or that have relevance where the frame has no `alive`: KEYS and total."""
    given = relevance_arrays(relevance)
    cells = given.cells.assign(total=given.total)
    if "alive" not in relevance.columns:
        return cells[cells["total"] > 0].reset_index(drop=True)
    alive = relevance.loc[relevance["task"] == given.tasks[0], "alive"].to_numpy(bool)
    return cells[alive].reset_index(drop=True)


def agreement(relevance: pd.DataFrame, ablated: pd.DataFrame) -> pd.DataFrame:
    """Return rank, rise and share correlation and the size of the sample, per layer and task, and for layer "".

    Args:
        relevance: a frame by one method.
        ablated: the rows of `engine.explain.checks.ablation`; those of single channels are used.

    """
    truth = ablated.loc[ablated["channel"] >= 0, [*KEYS, "task", "effect", "loss_change"]]
    both = relevance.merge(truth, on=[*KEYS, "task"])
    if both.empty:
        return pd.DataFrame(columns=COLUMNS[:4])
    moving = both.groupby(KEYS)[["relevance", "effect"]].transform("sum").sum(axis=1) > 0
    both = both[moving]
    both = both.assign(share=_shares(both, "relevance"), true_share=_shares(both, "effect"))

    def figures(own: pd.DataFrame) -> dict[str, float]:
        return {
            "rank_correlation": spearman(own["relevance"], own["effect"]),
            "rise_correlation": spearman(own["relevance"], own["loss_change"]),
            "share_correlation": spearman(own["share"], own["true_share"]),
            "sample": float(len(own)),
        }

    return _per_layer(both, figures)


def split_half(relevance: pd.DataFrame) -> pd.DataFrame:
    """Return how well the relevance over even images agrees with that over odd ones, and the same for the shares."""
    alive = relevance.merge(survivors(relevance)[KEYS], on=KEYS)
    halves = alive.assign(even_share=_shares(alive, "even"), odd_share=_shares(alive, "odd"))

    def figures(own: pd.DataFrame) -> dict[str, float]:
        return {
            "split_half": spearman(own["even"], own["odd"]),
            "share_split_half": spearman(own["even_share"], own["odd_share"]),
        }

    return _per_layer(halves, figures)


def compared_ranks(relevance: pd.DataFrame, shuffled: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Return how well shares and relevance of a model agree with those of its shuffled copy, under two names."""
    both = relevance.merge(survivors(relevance)[KEYS], on=KEYS)
    both = both.merge(shuffled[["task", *KEYS, "relevance"]], on=["task", *KEYS], suffixes=("", "_shuffled"))
    both = both.assign(share=_shares(both, "relevance"), share_shuffled=_shares(both, "relevance_shuffled"))

    def figures(own: pd.DataFrame) -> dict[str, float]:
        return {
            names[0]: spearman(own["share"], own["share_shuffled"]),
            names[1]: spearman(own["relevance"], own["relevance_shuffled"]),
        }

    return _per_layer(both, figures)


def _shares(frame: pd.DataFrame, column: str) -> "pd.Series[float]":
    """Return each row's share of its cell, after division by the sum per task; missing where a cell is zero."""
    parts = frame[column] / frame.groupby("task")[column].transform("sum")
    cells = parts.groupby([frame[key] for key in KEYS]).transform("sum")
    return parts / cells.where(cells > 0)


def _per_layer(frame: pd.DataFrame, figures: Figure) -> pd.DataFrame:
    """Return the figures of every layer and task, and of all layers together under "": the first four COLUMNS."""
    parts = [(str(layer), str(task), own) for (layer, task), own in frame.groupby(["layer", "task"], sort=False)]
    parts += [("", str(task), own) for task, own in frame.groupby("task", sort=False)]
    rows = [(layer, task, name, value) for layer, task, own in parts for name, value in figures(own).items()]
    found = pd.DataFrame(rows, columns=COLUMNS[:4])
    single = frame["task"].nunique() < 2
    return found[~found["figure"].str.contains("share")] if single else found


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Return Spearman's rank correlation of two vectors, in [-1, 1]; pairs with a NaN are left out.

    NaN for fewer than three pairs, or where one of the two is constant: there is no order to compare.
    """
    pairs = pd.DataFrame({"one": np.asarray(one, float), "other": np.asarray(other, float)})
    return float(pairs.corr("spearman", min_periods=3).to_numpy()[0, 1])
