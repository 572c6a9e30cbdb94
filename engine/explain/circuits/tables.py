"""The stored circuits of an explanation: their columns, what they say in a sentence, two of them compared; no torch.

Columns of the tables are told in `engine.explain.circuits.circuits`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from winnow.engine.explain.checks.badges import Colour
from winnow.engine.explain.usage import JOIN

CIRCUITS = ("task", "layer", "source", "destination", "score")
FIGURES = (
    "task", "level", "edges", "kept", "share", "loss_whole", "loss_cut", "faithfulness", "low", "high", "completeness",
    "random", "random_best", "missed", "missed_bound", "images",
)  # fmt: skip
OVERLAPS = (
    "level", "layer", "task", "other", "jaccard", "low", "high", "chance", "one_in_other", "other_in_one",
)  # fmt: skip
AGREEMENT = ("task", "layer", "jaccard", "one_share", "other_share", "one_in_other", "other_in_one", "dead_in_other")
LEAST = 0.01  # of the edges: less that two tasks share is not worth a number
SLACK = 0.05  # below the level, on other images than those that sized the circuit: green
FAIR = 0.25  # the same: amber
EDGE = ["layer", "source", "destination"]


def kept_column(level: float) -> str:
    """Return the column that says which edges are in the circuit of a level, of 1."""
    return f"kept_{round(100 * level)}"


def circuit_verdict(figures: pd.DataFrame) -> tuple[Colour, str]:
    """Return colour and text for the circuits of the highest level: that of the task of which least can be said.

    Green: on images that neither learned nor sized it, the circuit keeps at least its level less 0.05; random edges
    keep at most half as much; without the circuit more than half is lost; no edge outside loses more than 0.05 when it
    is cut alone. Red: it keeps less than its level less 0.25. Amber between. Grey: there are none.
    """
    if figures.empty:
        return "grey", "no circuits were requested"
    own = figures[figures["level"] == figures["level"].max()]
    level = float(own["level"].iloc[0])
    least = own.iloc[int(own["faithfulness"].argmin())]
    images = int(own["images"].min())
    said = [
        f"on {images} other images the circuits keep {_percent(least['faithfulness'])} of the loss change or more "
        f"({least['task']}: {_percent(least['low'])} to {_percent(least['high'])}), {_percent(level)} wanted"
    ]
    random, complete, missed = own["random"].max(), own["completeness"].min(), own["missed"].max()
    said.append(f"random edges, as many in each layer, keep {_percent(random)} at most")
    said.append(f"cutting a circuit loses {_percent(complete)} or more")
    said.append(f"no edge outside that was cut alone changes more than {_percent(missed)}")
    falls = level - float(least["faithfulness"])
    doubtful = bool((own["random"] > own["faithfulness"] / 2).any() or complete <= 0.5 or missed > SLACK)
    colour: Colour = "red" if falls > FAIR else "amber" if falls > SLACK or doubtful else "green"
    return colour, "; ".join(said)


def task_sets_of_edges(circuits: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row per edge that some circuit keeps: layer, source, destination, tasks (joined by "+"), size, score.

    score is the largest of the tasks' scores.
    """
    kept = circuits[circuits[column].astype(bool)]
    grouped = kept.groupby(EDGE, sort=False)
    found = grouped["task"].agg(JOIN.join).rename("tasks").to_frame()
    found["size"] = grouped["task"].size()
    found["score"] = grouped["score"].max()
    return found.reset_index()


def circuit_agreement(one: pd.DataFrame, other: pd.DataFrame, *, same_channels: bool, level: float) -> pd.DataFrame:
    """Return how far the circuits of two explanations agree: one row per task and layer, "" for all layers together.

    Columns: task, layer, jaccard, one_share and other_share (edges kept, of all that the layer has there),
    one_in_other (|A ∩ B| / |A|), other_in_one, dead_in_other (share of A whose edges are no longer there in B).
    Where channels do not correspond only the shares have a value.

    Args:
        one: a table `circuits`.
        other: another one.
        same_channels: channel m of one is channel m of the other: two explanations of one run, dense and after zeros.
            Networks of two seeds have no such correspondence, and neither have networks that were cut to size.
        level: which circuits, of 1.

    Raises:
        ValueError: a table without circuits of the level, no task in common, or layers that differ.

    """
    column = kept_column(level)
    for name, frame in (("one", one), ("other", other)):
        if missing := [own for own in (*CIRCUITS, column) if own not in frame.columns]:
            raise ValueError(f"`{name}` must be a table `circuits` with {column}, got none of {', '.join(missing)}.")
    tasks = [task for task in one["task"].unique() if task in set(other["task"])]
    if not tasks:
        raise ValueError(f"`other` must have a task of `one`, {', '.join(one['task'].unique())}, got none of them.")
    rows = [row for task in tasks for row in _agreement(task, (one, other), column, same_channels)]
    return pd.DataFrame(rows, columns=list(AGREEMENT))


def _agreement(
    task: str, pair: tuple[pd.DataFrame, pd.DataFrame], column: str, same_channels: bool
) -> list[list[object]]:
    one, other = (frame[frame["task"] == task] for frame in pair)
    layers = list(dict.fromkeys(one["layer"]))
    if unknown := sorted(set(layers) ^ set(other["layer"])):
        raise ValueError(
            f"`other` must have the layers of `one` to be compared, got other layers: {', '.join(unknown[:3])}. "
            "Compare runs of one architecture."
        )
    indexed = [frame.set_index(EDGE)[column].astype(bool) for frame in (one, other)]
    if same_channels:
        _require_before_and_after(*(frame.index for frame in indexed))
    parts = [
        [own if not layer else own[own.index.get_level_values(0) == layer] for own in indexed]
        for layer in ("", *layers)
    ]
    named = zip(("", *layers), parts, strict=True)
    return [[task, layer, *_compared(own[0], own[1], same_channels)] for layer, own in named]


def _require_before_and_after(one: pd.Index, other: pd.Index) -> None:
    """Refuse edges of which neither network's are among the other's: their channels do not correspond."""
    only = len(one.difference(other)), len(other.difference(one))
    if min(only):
        raise ValueError(
            f"`same_channels` must be False where channels do not correspond, got True, with {only[0]} edges only in "
            f"`one` and {only[1]} only in `other`. Compare the shares of each layer instead."
        )


def _compared(one: "pd.Series[bool]", other: "pd.Series[bool]", same_channels: bool) -> list[float]:
    shares = [float(own.mean()) for own in (one, other)]
    if not same_channels:
        return [np.nan, *shares, np.nan, np.nan, np.nan]
    a, b = one[one].index, other[other].index
    common = len(a.intersection(b))
    joined = len(a) + len(b) - common
    dead = len(a.difference(other.index))
    return [
        common / joined if joined else np.nan,
        *shares,
        common / len(a) if len(a) else np.nan,
        common / len(b) if len(b) else np.nan,
        dead / len(a) if len(a) else np.nan,
    ]


def circuits_answer(figures: pd.DataFrame, overlaps: pd.DataFrame, tasks: Sequence[str]) -> str:
    """Return what the circuits of the highest level say, in a sentence or two."""
    if figures.empty:
        return "No circuits were requested in this explanation."
    own = figures[figures["level"] == figures["level"].max()].set_index("task").reindex(tasks).dropna(how="all")
    level = _percent(float(own["level"].iloc[0]))
    parts = [f"{_percent(row['share'])} for {task}" for task, row in own.iterrows()]
    first = f"{level} of what each task has learned runs over some of the edges: {_listed(parts)}."
    if len(parts) == 1:
        first = f"{level} of the loss change of {own.index[0]} runs over {_percent(own['share'].iloc[0])} of the edges."
    whole = overlaps[overlaps["layer"] == ""]
    if whole.empty or whole["jaccard"].isna().all():
        return first
    top = whole.iloc[int(whole["jaccard"].argmax())]
    if top["high"] < LEAST:
        return f"{first} No two tasks share as much as {_percent(LEAST)} of the edges that either keeps."
    return (
        f"{first} Most is shared by {top['task']} and {top['other']}: {_percent(top['jaccard'])} of the edges that "
        f"either keeps ({_percent(top['low'])} to {_percent(top['high'])}; {_percent(top['chance'])} by chance)."
    )


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
