"""Do two seeds keep the same groups? The agreement of survivors over seeds, layer after layer, for each arm."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.overlap_axes import by_chance, set_overlap_axes
from winnow.dashboard.figures.style import COLOURS, DASHES, MARKERS, empty, escaped, of_all, panels
from winnow.dashboard.shared.formatting import level_word

MOST_ARMS = 8
ARM = ["arm", "subset", "balancing", "level_of", "level"]
READING = (
    "One curve per arm, from the input to the output: channels that survive in two seeds ÷ channels that survive in "
    "either, mean over the pairs of seeds, with the range of the pairs. Grey, dotted: what two random sets of the "
    "same sizes would share, for the first arm. Seeds start from different weights, so equal numbers do not mean "
    "equal channels: a value near chance is normal."
)


def seed_overlap(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (the table `jaccard` of a study), the first eight arms of it, which is said."""
    if frame.empty:
        return empty("Two seeds or more of a sparse arm are needed to compare them.", height=340)
    figure = panels(height=440)
    arms = list(frame.groupby(ARM, sort=False))
    for place, (who, own) in enumerate(arms[:MOST_ARMS]):
        figure.add_trace(_arm(own, _title(who), place))
        if place == 0:
            figure.add_trace(by_chance(own.groupby("depth")["chance"].mean()))
    set_overlap_axes(figure, frame, of_all(min(len(arms), MOST_ARMS), len(arms), "arms"))
    return figure


def _title(who: tuple[object, ...]) -> str:
    arm, subset, _, of, level = who
    return f"{arm} {level_word(str(of), float(str(level)))}, {subset}" if of else f"{arm}, {subset}"


def _arm(own: pd.DataFrame, name: str, place: int) -> go.Scatter:
    found = own.groupby("depth")["jaccard"].agg(["mean", "min", "max"])
    return go.Scatter(
        x=found.index.to_numpy(np.int32),
        y=found["mean"].to_numpy(np.float32),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (found["max"] - found["mean"]).to_numpy(np.float32),
            "arrayminus": (found["mean"] - found["min"]).to_numpy(np.float32),
            "thickness": 1,
            "width": 3,
        },
        name=escaped(name),
        mode="lines+markers",
        line={"color": COLOURS[place % 4], "width": 2, "dash": DASHES[place // 4 % 4]},
        marker={"symbol": MARKERS[place % 4], "size": 8},
        hovertemplate=f"{escaped(name)}<br>in common %{{y:.2f}}<extra></extra>",
    )
