"""How firmly dead are the dead? How hard the loss pulls at each, against what the penalty withstands."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, NEUTRAL, empty, panels

WIDTH = 0.05  # of a bin
LAST = 1.2  # beyond it all stand in the last bin
READING = (
    "All groups that are exactly zero, by firmness: the pull of the loss ÷ the pull of the penalty. Near 0: the "
    "loss does not pull the group back. Near 1: about to revive, unless a refit keeps it at zero. The last bar holds "
    "all larger values."
)


def firmness(values: pd.Series) -> go.Figure:
    """Draw the firmness of the dead groups as a histogram, with a line at 1."""
    if values.empty:
        return empty("No group is zero yet, or the run records no firmness.", height=300)
    edges = np.arange(0, LAST + WIDTH / 2, WIDTH)
    counts, _ = np.histogram(values.clip(upper=LAST - WIDTH / 2), edges)
    figure = panels(height=320)
    figure.add_trace(
        go.Bar(
            x=(edges[:-1] + WIDTH / 2).astype(np.float32),
            y=counts.astype(np.int32),
            width=0.9 * WIDTH,
            name="groups",
            marker={"color": COLOURS[0], "line": {"width": 0}},
            customdata=np.column_stack([edges[:-1], edges[1:]]).astype(np.float32),
            hovertemplate="firmness %{customdata[0]:.2f} to %{customdata[1]:.2f}<br>%{y} groups<extra></extra>",
        )
    )
    figure.add_vline(x=1, line={"dash": "dash", "width": 1.5, "color": NEUTRAL})
    figure.add_annotation(
        x=1, y=1, yref="paper", xanchor="right", yanchor="top", text="revives from here on → ", showarrow=False
    )
    figure.update_xaxes(title_text="firmness [1]", range=[0, LAST], dtick=0.2)
    figure.update_yaxes(title_text="dead groups [1]", rangemode="tozero")
    return figure
