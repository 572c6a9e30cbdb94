"""What each removable channel is worth: by the norm of its weights, or by what the tasks make of it.

Norms of two layers say little about one another: behind a batch norm each layer's scale is free, and a layer of few
inputs has large weights. So a norm is judged inside its class. With `compared` "layer" (the default) the score is that
of LAMP (Lee et al. 2021, arXiv 2010.07611), with channels for weights:

    s_u = ‖w_u‖² / Σ ‖w_v‖²   over the channels v of its class with ‖w_v‖ ≥ ‖w_u‖

It is 1 for the best channel of each class, and else the share of the class's energy that goes with the channel once
all worse ones have gone. With "size" the score is ‖w_u‖ / √|u|, what the penalty with weights c_g = √|g| holds its
threshold against: the channels that it would have zeroed next. How the losses rise without refit when 20 to 50 % of
the multiply-accumulates go, on two small networks trained on rooms and two on digits:

    rooms     LAMP 1.1 – 1.4 times   size 1.1 – 2.1   random 1.4 – 1.8
    digits    LAMP 3 – 14 times      size 3 – 6       random 14 – 36

LAMP is the default because it is never worse than a random order; "size" is at 50 % of the rooms, where it empties
narrow layers first.

Relevance needs no such care, as a first-order estimate of what the loss loses with the channel (Molchanov et al. 2019,
arXiv 1906.10771): divided by a layer's own scale it does worse on the rooms, and no better on the digits up to 30 %.
Tasks are made comparable by the mean relevance of each, and the score is the largest of them: a channel that one task
needs is kept.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.weights import Values
from winnow.engine.pruning.units import Units
from winnow.engine.sparsity.groups import banks

COLUMNS = ["task", "layer", "channel", "relevance"]
TINY = 1e-30  # a task whose relevance is 0 everywhere asks for nothing


def norm_scores(units: Units, compared: Literal["layer", "size"] = "layer") -> Values:
    """Return a score (units,) by ‖w_u‖, over all weights that write or read the channel.

    Raises:
        ValueError: `compared` is neither "layer" nor "size".

    """
    if compared not in ("layer", "size"):
        raise ValueError(f"`compared` must be layer or size, got {compared!r}.")
    found = banks(units.groups) if units.groups else []
    squares = np.concatenate([np.zeros(0), *(bank.norms().double().square().cpu().numpy() for bank in found)])
    if compared == "size":
        sizes = np.array([group.size for group in units.groups], np.float64)
        scores: Values = np.sqrt(squares / sizes)
        return scores
    return lamp(squares, units.classes)


def lamp(squares: Values, classes: Labels) -> Values:
    """Return ‖w_u‖² over the sum of those of its class that are no smaller: 1 for the largest, 0 for the dead."""
    scores = np.zeros(len(squares))
    for kind in np.unique(classes):
        members = np.flatnonzero(classes == kind)
        members = members[np.argsort(-squares[members], kind="stable")]
        sums = np.cumsum(squares[members])
        scores[members] = np.divide(squares[members], sums, out=np.zeros(len(sums)), where=sums > 0)
    return scores


def relevance_scores(
    units: Units,
    frame: pd.DataFrame,
    tasks: Sequence[str] | None = None,
    *,
    end: Literal["input", "output"] = "input",
) -> Values:
    """Return a score (units,) by what the tasks make of a channel: max over tasks of r_t / (mean of the frame's r_t).

    r_t is the sum over the layers that read the channel, each a way of its own that goes with it; with `end` "output"
    the largest, since the layers that give it are views of the same thing. A channel that the frame does not show has
    ∞: it stays.

    Args:
        units: from `engine.pruning.units`.
        frame: columns task, layer, channel, relevance (≥ 0), as `engine.explain.relevance.relevance` gives them;
        `layer` is
            a module of the model. Other columns are not looked at.
        tasks: those that count; None: all in the frame.
        end: whether `channel` of a convolution or a linear layer is one that it reads or one that it gives. Of any
            other module it is one that it gives.

    Raises:
        ValueError: a column is missing, a value is no number or negative, a layer or a channel is not the model's, or
            a task is not in the frame.

    """
    rows = _checked(frame, tasks)
    worth, shown = np.zeros(len(units)), np.zeros(len(units), bool)
    for _, own in rows.groupby("task", observed=True):
        mean = max(float(own["relevance"].mean()), TINY)
        found = _of_task(units, own, end)
        shown |= ~np.isnan(found)
        worth = np.fmax(worth, found / mean)
    return np.where(shown, worth, np.inf)


def _of_task(units: Units, rows: pd.DataFrame, end: Literal["input", "output"]) -> Values:
    """Return what one task makes of each unit, NaN for those that no row shows."""
    found, shown = np.zeros(len(units)), np.zeros(len(units), bool)
    gather = np.add if end == "input" else np.maximum
    for layer, part in rows.groupby("layer", observed=True):
        values = part["relevance"].to_numpy(float)
        for labels in channels_at(units.graph, str(layer), end):
            reached = units.unit_of[labels[_places(part["channel"].to_numpy(), len(labels), str(layer))]]
            gather.at(found, reached[reached >= 0], values[reached >= 0])
            shown[reached[reached >= 0]] = True
    return np.where(shown, found, np.nan)


def channels_at(graph: ChannelGraph, layer: str, end: Literal["input", "output"]) -> list[Labels]:
    """Return the channels at a module of the traced model, one vector per use of it; see `relevance` for `end`.

    Raises:
        ValueError: the model runs no such module, or what it gives is no single tensor with channels.

    """
    sources = [product.source for product in graph.products if product.layer == layer]
    sources += [depthwise.source for depthwise in graph.depthwise if depthwise.layer == layer]
    if sources and end == "input":
        return [graph.carriers[source].labels.ravel() for source in sources]
    found = [[carrier for carrier in graph.tensors(node) if carrier.bears] for node in _last_of(graph, layer)]
    if not found or any(len(tensors) != 1 for tensors in found):
        raise ValueError(f"`layer` must be a module of the model that returns one tensor, got {layer!r}.")
    return [tensors[0].labels.ravel() for tensors in found]


def _last_of(graph: ChannelGraph, layer: str) -> list[str]:
    """Return the last operation of every run through a module, by its node."""
    inside = [event.path == layer or event.path.startswith(f"{layer}.") for event in graph.events]
    ends = zip(inside, [*inside[1:], False], graph.events, strict=True)
    return [event.node for here, behind, event in ends if here and not behind]


def _places(channels: NDArray[Any], length: int, layer: str) -> NDArray[Any]:
    if wrong := [channel for channel in channels if not 0 <= channel < length]:
        raise ValueError(f"`channel` must be from 0 to {length - 1} at {layer}, got {wrong[0]}.")
    return channels


def _checked(frame: pd.DataFrame, tasks: Sequence[str] | None) -> pd.DataFrame:
    if missing := [column for column in COLUMNS if column not in frame]:
        raise ValueError(f"`frame` must have the columns {', '.join(COLUMNS)}, got none of {', '.join(missing)}.")
    known = set(frame["task"])
    if unknown := [task for task in tasks or () if task not in known]:
        raise ValueError(f"`tasks` must be among those of the frame, {sorted(known)}, got {unknown}.")
    rows = frame.loc[frame["task"].isin(known if tasks is None else tasks), COLUMNS]
    values = rows["relevance"].to_numpy(float)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"`relevance` must be numbers of at least 0, got {values[~(values >= 0)][:1].tolist()}.")
    return rows
