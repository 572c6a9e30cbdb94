"""Shared or specific? The shares of the tasks in every cell (engine.explain.usage), ready to be drawn.

| function       | columns                                                                                             |
|----------------|-----------------------------------------------------------------------------------------------------|
| `cells`        | layer, channel, share_<task>…, total, label, dominant (the task of the largest share), share (its   |
|                | share), certainty (1 − the width of its interval); of living cells only: dead and idle are left out |
| `map_cells`    | the same of all cells; dominant, share and certainty are missing where a cell is dead               |
| `counts`       | layer, depth, total, and channels_<label>…: how many channels of each layer are what                |
| `layer_shares` | layer, depth, share_<task>…, total: whose the relevance of each layer is                            |
| `overlaps`     | tasks, size, channels: how many channels each set of tasks uses, the largest first                  |
| `affinity`     | layer, depth, task, other, cosine, conflict_rate, transfer, ablated: how many channels transfer is  |
|                | of                                                                                                  |
| `heads`        | task, layer, channels, ignored: per reader of a head, how many of its columns are exactly zero      |
"""

import numpy as np
import pandas as pd

from winnow.dashboard.frames.explanations import explained_layers, explained_tasks, explanation_table
from winnow.engine.explain.usage import ALL, DEAD, IDLE, all_labels
from winnow.engine.runs.derived import DerivedJob


def map_cells(work: DerivedJob) -> pd.DataFrame:
    """Return every cell, with the task that has the largest share in it."""
    used, names = explanation_table(work, "usage"), explained_tasks(work)
    kept = ["layer", "channel", *(f"share_{task}" for task in names), "total", "label"]
    if used.empty:
        return pd.DataFrame(columns=[*kept, "dominant", "share", "certainty"])
    shares = used[[f"share_{task}" for task in names]].to_numpy(float)
    known = ~np.isnan(shares).any(axis=1)
    first = np.where(known[:, None], shares, 0.0).argmax(axis=1)
    rows = np.arange(len(used))
    low, high = (
        used[[f"{end}_share_{task}" for task in names]].to_numpy(float)[rows, first] for end in ("low", "high")
    )
    dominant = pd.Series(np.array(names, object)[first], used.index).where(known)
    return used[kept].assign(
        dominant=dominant,
        share=np.where(known, shares[rows, first], np.nan),
        certainty=np.where(known, np.clip(1 - (high - low), 0, 1), np.nan),
    )


def cells(work: DerivedJob, layer: str = "") -> pd.DataFrame:
    """Return the cells that some task uses, of one layer or of all."""
    every = map_cells(work)
    own = every if not layer else every[every["layer"] == layer]
    return own[~own["label"].isin([DEAD, IDLE])].reset_index(drop=True)


def left_out(work: DerivedJob, layer: str = "") -> tuple[int, int, int]:
    """Return how many cells there are, how many of them are dead, and how many idle."""
    used = explanation_table(work, "usage")
    own = used if not layer else used[used["layer"] == layer]
    return len(own), int((own["label"] == DEAD).sum()), int((own["label"] == IDLE).sum())


def counts(work: DerivedJob) -> pd.DataFrame:
    """Return one row per layer: how many of its channels have which label."""
    known, names = explanation_table(work, "layers"), list(all_labels(explained_tasks(work)))
    own, counted = known[known["label"] != ALL], [f"channels_{name}" for name in names]
    if own.empty:
        return pd.DataFrame(columns=["layer", "depth", "total", *counted])
    wide = own.pivot(index=["depth", "layer"], columns="label", values="channels").reindex(columns=names)
    wide = wide.fillna(0).astype(int).set_axis(counted, axis=1)  # a task may be called depth, as the column is
    return wide.assign(total=wide.sum(axis=1)).reset_index()[["layer", "depth", "total", *counted]]


def layer_shares(work: DerivedJob) -> pd.DataFrame:
    """Return one row per layer: the part of the relevance of its channels that is each task's."""
    known = explanation_table(work, "layers")
    own = known[known["label"] == ALL]
    columns = ["layer", "depth", *(f"share_{task}" for task in explained_tasks(work)), "total"]
    return own.reindex(columns=columns).reset_index(drop=True)


def overlaps(work: DerivedJob, layer: str = "") -> pd.DataFrame:
    """Return how many channels each set of tasks uses, in one layer or in all together."""
    known = explanation_table(work, "overlaps")
    own = known.loc[known["layer"] == layer, ["tasks", "size", "channels"]]
    return own.sort_values("channels", ascending=False, kind="stable").reset_index(drop=True)


def affinity(work: DerivedJob) -> pd.DataFrame:
    """Return how far each two tasks pull each layer the same way, in the order of the network."""
    known = explanation_table(work, "affinity")
    depth = {layer.name: place for place, layer in enumerate(explained_layers(work))}
    alone = explanation_table(work, "ablation")
    counted = alone[alone["channel"] >= 0].groupby(alone["layer"].astype(str))["channel"].nunique()
    ablated = known["layer"].astype(str).map(counted).fillna(0).astype(int)
    placed = known.assign(depth=known["layer"].map(depth), ablated=ablated)
    return placed.sort_values("depth", kind="stable").reset_index(drop=True)


def heads(work: DerivedJob) -> pd.DataFrame:
    """Return one row per layer of a head that reads shared channels."""
    known = explanation_table(work, "heads")
    if known.empty:
        return pd.DataFrame(columns=["task", "layer", "channels", "ignored"])
    found = known.groupby(["task", "layer"], sort=False)["zero"].agg(["size", "sum"]).reset_index()
    return found.rename(columns={"size": "channels", "sum": "ignored"})
