"""Which layers differ between two networks? Groups that live in both, in one of them, in neither."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import largest_layers, layer_axis, left_out_layers, rows_height
from winnow.dashboard.figures.style import NEUTRAL, empty, escaped, panels

LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "both": ("in both", {"color": "#9c9ca3"}),
    "only_a": ("only in A", {"color": "#2166c4"}),
    "only_b": ("only in B", {"color": "#d55e00"}),
    "neither": (
        "in neither",
        {"color": "rgba(128,132,149,0.12)", "pattern": {"shape": "/", "fgcolor": NEUTRAL, "size": 5}},
    ),
}
READING = (
    "One bar per layer, from the input at the top: its groups that are alive in both networks, in one of them, or in "
    "neither. Long blue and orange parts: the networks chose different channels there."
)


def kept_by_both(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (dashboard.frames.pairs.paired_layers) as stacked bars."""
    if frame.empty:
        return empty("The networks have different shapes.", height=300)
    drawn = largest_layers(frame, (frame["only_a"] + frame["only_b"]) / frame["total"])
    figure = panels(height=rows_height(len(drawn)))
    names = [escaped(name) for name in drawn["layer"]]
    for column, (said, marker) in LOOKS.items():
        figure.add_trace(
            go.Bar(
                y=np.arange(len(drawn), dtype=np.int32),
                x=drawn[column].to_numpy(np.int32),
                orientation="h",
                name=said,
                marker={**marker, "line": {"width": 0}},
                customdata=names,
                hovertemplate=f"%{{customdata}}<br>%{{x}} live {said}<extra></extra>",
            )
        )
    figure.update_layout(barmode="stack", bargap=0.28, showlegend=True, legend={"traceorder": "normal"})
    figure.update_yaxes(**layer_axis(drawn))
    figure.update_xaxes(title_text=f"groups [1]{left_out_layers(frame, drawn, 'those that differ most')}")
    return figure
