"""How did one channel fare? Its norm over the epochs, and where it died."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, empty, panels, xy

READING = "The norm of the selected channel after each epoch, zero from its death on."


def one_channel(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (at, norm) as one small curve."""
    if frame.empty:
        return empty("Select a channel in the map.", height=200)
    figure = panels(height=200)
    figure.add_trace(
        go.Scatter(
            **xy(frame, "norm"),
            name="norm",
            mode="lines+markers" if len(frame) <= 60 else "lines",
            line={"color": COLOURS[0], "width": 2},
            marker={"size": 5},
            hovertemplate="epoch %{x:.0f}<br>norm %{y:.4g}<extra></extra>",
        )
    )
    top = float(np.nanmax(frame["norm"])) or 1.0
    figure.update_yaxes(title_text="norm [1]", range=[-0.04 * top, 1.08 * top])
    figure.update_xaxes(rangemode="nonnegative", title_text="epoch")
    return figure
