"""Does the explanation come from what the network learnt? What is left of it when the weights are shuffled."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels
from winnow.engine.explain.checks.badges import GONE

READING = (
    "The rank correlation of each task's shares with the shares after the weights of the network were shuffled: "
    "first the heads alone, then more and more of the shared layers, from the output on. It must fall into the grey "
    "band: an explanation that survives shuffled weights does not explain what they learnt."
)


def shuffled_weights(frame: pd.DataFrame, looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (task, stage, place, value) as one curve per task, from 1 before anything was shuffled."""
    if frame.empty:
        return empty("Shuffled weights were not tried. The form below can request them.", height=260)
    figure = panels(height=340)
    stages = frame.drop_duplicates("place").sort_values("place")
    for task, own in frame.groupby("task", sort=False):
        look = looks[str(task)]
        figure.add_trace(
            go.Scatter(
                x=np.r_[0, own["place"].to_numpy(np.int32) + 1],
                y=np.r_[np.float32(1), own["value"].to_numpy(np.float32)],
                mode="lines+markers",
                name=escaped(str(task)),
                line={"color": look.colour, "width": 2, "dash": look.dash},
                marker={"symbol": look.marker, "size": 8},
                hovertemplate=f"{escaped(str(task))}: %{{y:.2f}}<extra></extra>",
            )
        )
    figure.update_layout(showlegend=True)
    figure.add_hrect(y0=-GONE, y1=GONE, fillcolor="rgba(128,132,149,0.22)", line={"width": 0}, layer="below")
    figure.add_hline(y=0, line={"width": 1, "color": NEUTRAL})
    words = ["as trained", *stages["stage"]]
    figure.update_xaxes(
        tickvals=np.r_[0, stages["place"].to_numpy(np.int32) + 1], ticktext=words, title_text="shuffled"
    )
    figure.update_yaxes(title_text="rank correlation of shares [1]", range=[-0.6, 1.05], dtick=0.25)
    return figure
