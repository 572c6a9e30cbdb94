"""Where in its kernel does a layer look at this channel? The mean magnitude at each position."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.look import CIVIDIS, empty, panels

READING = (
    "Each cell is a position of the kernels that read this channel: the root mean square, over the outputs, of the "
    "weights there."
)
NOT_RECORDED = "Kernel positions are recorded for input groups of convolutions."
HEIGHT = 230


def kernel(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (row, column, magnitude) as one small heatmap; a kernel without extent or weights says so."""
    if frame.empty:
        return empty(NOT_RECORDED, height=120)
    if not frame["magnitude"].any():
        return empty("Exactly zero at every position.", height=120)
    if len(frame) == 1:
        return empty(f"1 × 1 kernel, a single position: {frame['magnitude'].iloc[0]:.3g}", height=120)
    grid = frame.pivot_table(index="row", columns="column", values="magnitude")
    figure = panels(height=HEIGHT)
    figure.add_trace(
        go.Heatmap(
            z=grid.to_numpy("float32"),
            colorscale=list(CIVIDIS),
            zmin=0,
            xgap=2,
            ygap=2,
            texttemplate="%{z:.2g}" if len(frame) <= 49 else None,
            textfont={"size": 13},
            colorbar={"title": {"text": "magnitude [1]", "side": "right"}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="row %{y}, column %{x}<br>magnitude %{z:.4g}<extra></extra>",
        )
    )
    ticks = {"dtick": 1 if grid.shape[0] <= 11 else 5, "showgrid": False}
    figure.update_xaxes(title_text="column", constrain="domain", **ticks)
    figure.update_yaxes(title_text="row", autorange="reversed", scaleanchor="x", constrain="domain", **ticks)
    return figure
