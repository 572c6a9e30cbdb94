"""Which channels died, and when? Layer × channel: what lives in one colour, what is zero by its last epoch alive."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import CIVIDIS, COLOURS, NEAR, empty, panels

READING = (
    "One row per layer, from the input at the top; one cell per group, those that live longest on the left. Blue: "
    "alive. Amber: near the threshold. Other colours: zero, by the last epoch after which the group was alive. "
    "Nothing is drawn where a layer has no more groups."
)


def death_map(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (dashboard.frames.channel_states.channels): layer, channel, state, last_alive."""
    if frame.empty:
        return empty("The first norms are recorded before the first epoch.")
    layers = list(dict.fromkeys(frame["layer"].astype(str)))
    last = frame["last_alive"].astype("Float64").to_numpy(np.float64, na_value=-1.0)
    dead = (frame["state"] == "dead").to_numpy()
    order = np.lexsort((-last, dead, (frame["state"] == "near").to_numpy() | dead))
    rows = pd.factorize(frame["layer"].astype(str))[0]
    shape = len(layers), int(np.bincount(rows).max())
    channel, died, alive = (np.full(shape, np.nan, np.float32) for _ in range(3))
    for row in range(len(layers)):
        own = order[rows[order] == row]
        place = row, slice(0, len(own))
        channel[place] = frame["channel"].to_numpy(np.float32)[own]
        died[place] = np.where(dead[own], last[own], np.nan)
        alive[place] = np.where(dead[own], np.nan, (frame["state"] == "near").to_numpy()[own])
    figure = panels(height=rows_height(len(layers)))
    figure.add_trace(_alive(alive, channel))
    if dead.any():
        figure.add_trace(_dead(died, channel))
    figure.update_yaxes(**layer_axis(pd.DataFrame({"layer": layers})))
    span = [-0.5, shape[1] - 0.5]
    figure.update_xaxes(
        title_text="groups of the layer, the longest alive first", showgrid=False, range=span, tickformat="d"
    )
    return figure


def _alive(near: NDArray[np.float32], channel: NDArray[np.float32]) -> go.Heatmap:
    return go.Heatmap(
        z=near,
        zmin=0,
        zmax=1,
        colorscale=[[0, COLOURS[0]], [0.5, COLOURS[0]], [0.5, NEAR], [1, NEAR]],
        showscale=False,
        customdata=channel,
        hovertemplate="channel %{customdata}<br>alive (amber: near the threshold)<extra></extra>",
        xgap=0.5,
        ygap=2,
    )


def _dead(died: NDArray[np.float32], channel: NDArray[np.float32]) -> go.Heatmap:
    step = max(1, round((np.nanmax(died) - np.nanmin(died)) / 6))  # epochs are whole numbers
    return go.Heatmap(
        z=died,
        colorscale=list(CIVIDIS[2:]),
        colorbar={"title": {"text": "last epoch alive"}, "thickness": 12, "outlinewidth": 0, "dtick": step},
        customdata=channel,
        hovertemplate="channel %{customdata}<br>last alive after epoch %{z}; −1: never<extra></extra>",
        xgap=0.5,
        ygap=2,
    )
