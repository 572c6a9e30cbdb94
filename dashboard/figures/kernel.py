"""Where in its kernel does a layer look at this channel? The mean magnitude at each position."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import CIVIDIS, empty, panels

READING = (
    "Each cell is one position of the kernels that read this channel: the root mean square of the weights there, "
    "over the outputs. The colours start at 0."
)
NOT_RECORDED = "Kernel positions are recorded for input groups of convolutions."
HEIGHT = 230
MOST_WORDS = 49  # cells: 7 × 7; in smaller ones a number has no room


def kernel_figure(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (row, column, magnitude) as one small heatmap; a kernel without extent or weights says so."""
    if frame.empty:
        return empty(NOT_RECORDED, height=120, narrow=True)
    if not frame["magnitude"].any():
        return empty("Exactly zero at every position.", height=120)
    if len(frame) == 1:
        return empty(f"1 × 1 kernel, a single position: {frame['magnitude'].iloc[0]:.3g}", height=120)
    grid = frame.pivot_table(index="row", columns="column", values="magnitude")
    largest = float(frame["magnitude"].max())
    figure = panels(height=HEIGHT)
    figure.add_trace(
        go.Heatmap(
            z=grid.to_numpy("float32"),
            colorscale=list(CIVIDIS),
            zmin=0,
            zmax=largest,
            xgap=2,
            ygap=2,
            colorbar={"title": {"text": "magnitude [1]", "side": "right"}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="row %{y}, column %{x}<br>magnitude %{z:.4g}<extra></extra>",
        )
    )
    if len(frame) <= MOST_WORDS:
        for (row, column), magnitude in np.ndenumerate(grid.to_numpy()):
            _write(figure, (column, row), float(magnitude), largest)
    ticks = {"dtick": 1 if grid.shape[0] <= 11 else 5, "showgrid": False}
    figure.update_xaxes(title_text="column", constrain="domain", **ticks)
    figure.update_yaxes(title_text="row", autorange="reversed", scaleanchor="x", constrain="domain", **ticks)
    return figure


def _write(figure: go.Figure, place: tuple[int, int], magnitude: float, largest: float) -> None:
    """Write the magnitude into its cell, light on the dark half of the colours and dark on the light one."""
    colour = "#FFFFFF" if magnitude < largest / 2 else "#0E1117"
    x, y = place
    figure.add_annotation(x=x, y=y, text=f"{magnitude:.2g}", showarrow=False, font={"size": 12, "color": colour})
