"""Which channels get maps: those on which a task relies most."""

from collections.abc import Sequence

import pandas as pd


def top_cells(
    relevance: pd.DataFrame, per_task: int = 12, layers: Sequence[str] | None = None
) -> dict[str, tuple[int, ...]]:
    """Return {layer: channels}: in each layer the channels with the most relevance for each task, dead ones left out.

    Args:
        relevance: of `engine.explain.relevance.relevance`, by one method.
        per_task: how many channels of each task; those of several count for each.
        layers: the last one of the frame by default: the features that the heads read.

    Raises:
        ValueError: fewer than one channel, or a layer that the frame does not have.

    """
    if per_task < 1:
        raise ValueError(f"`per_task` should be at least 1. Found {per_task}.")
    known = list(dict.fromkeys(relevance["layer"]))
    wanted = known[-1:] if layers is None else list(layers)
    if unknown := [layer for layer in wanted if layer not in known]:
        raise ValueError(f"`layers` should be among {', '.join(known)}. Found {', '.join(unknown)}.")
    found = {}
    for layer in wanted:
        own = relevance[(relevance["layer"] == layer) & (relevance["relevance"] > 0)]
        best = own.sort_values("relevance", ascending=False, kind="stable").groupby("task", sort=False).head(per_task)
        found[layer] = tuple(sorted({int(channel) for channel in best["channel"]}))
    return {layer: channels for layer, channels in found.items() if channels}
