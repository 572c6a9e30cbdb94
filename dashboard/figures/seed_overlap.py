"""Do two seeds keep the same groups? The agreement of survivors over seeds, layer after layer, for each arm."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.look import COLOURS, DASHES, MARKERS, NEUTRAL, empty, escaped, panels
from dashboard.words import level_word

MOST_ARMS = 8
ARM = ["arm", "subset", "balancing", "level_of", "level"]
READING = (
    "One curve per arm, from the input to the output: channels that survive in two seeds ÷ in either, mean over the "
    "pairs of seeds, with the range of the pairs. Grey, dotted: what two random sets of the same sizes would share, of "
    "the first arm. Seeds start from different weights, so that channels have no common name: a value near chance is "
    "usual."
)


def seed_overlap(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (the table `jaccard` of a study), the first eight arms of it."""
    if frame.empty:
        return empty("Two seeds or more of a sparse arm are needed to compare them.", height=340)
    figure = panels(height=440)
    for place, (who, own) in enumerate(frame.groupby(ARM, sort=False)):
        if place == MOST_ARMS:
            break
        figure.add_trace(_arm(own, _title(who), place))
        if place == 0:
            figure.add_trace(_chance(own))
    layers = frame.drop_duplicates("depth").sort_values("depth")
    figure.update_xaxes(
        tickvals=layers["depth"].to_numpy(np.int32),
        ticktext=[_short(escaped(str(name))) for name in layers["layer"]],
        tickangle=-40,
        tickfont={"size": 11},
        title_text="layer, from the input to the output",
    )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text="survivors in common (Jaccard) [1]", range=[-0.03, 1.03], dtick=0.25)
    return figure


def _title(who: tuple[object, ...]) -> str:
    arm, subset, _, of, level = who
    return f"{arm} {level_word(str(of), float(str(level)))}, {subset}" if of else f"{arm}, {subset}"


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"…{name[-25:]}"


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


def _chance(own: pd.DataFrame) -> go.Scatter:
    found = own.groupby("depth")["chance"].mean()
    return go.Scatter(
        x=found.index.to_numpy(np.int32),
        y=found.to_numpy(np.float32),
        name="by chance",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        hovertemplate="by chance %{y:.2f}<extra></extra>",
    )
