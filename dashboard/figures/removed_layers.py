"""What was removed, layer by layer? The parameters of each layer before and after."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import largest_layers, layer_axis, left_out_layers, rows_height
from winnow.dashboard.figures.style import NEUTRAL, SMALLER, empty, escaped, panels

READING = (
    "One bar per layer that lost something, from the input at the top: the parameters that are left and, hatched, "
    "those that were removed. The text gives the shape of its weight before and after. Normalisation layers shrink "
    "with the layers before them and are in the CSV only."
)


def removed_layers(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (dashboard.frames.prunings.removed_by_pruning) but for the norms, whose weights are vectors."""
    matrices = frame[frame["shape_before"].astype(str).str.contains("×")].reset_index(drop=True)
    if matrices.empty:
        return empty("Nothing has been removed: every channel is used.")
    lost = 1 - matrices["parameters_after"] / matrices["parameters_before"]
    drawn = largest_layers(matrices, lost)
    figure = panels(height=rows_height(len(drawn)))
    after = drawn["parameters_after"].to_numpy(np.int64)
    figure.add_trace(_bars(drawn, after, "left", {"color": SMALLER}))
    gone = {"color": "rgba(128,132,149,0.12)", "pattern": {"shape": "/", "fgcolor": NEUTRAL, "size": 5}}
    figure.add_trace(_bars(drawn, drawn["parameters_before"].to_numpy(np.int64) - after, "removed", gone))
    figure.add_trace(_shapes(drawn))
    figure.update_layout(barmode="stack", bargap=0.28, showlegend=True, legend={"traceorder": "normal"})
    figure.update_yaxes(**layer_axis(drawn))
    widest = float(drawn["parameters_before"].max())
    figure.update_xaxes(title_text=f"parameters [1]{left_out_layers(matrices, drawn)}", range=[0, 1.45 * widest])
    return figure


def _bars(drawn: pd.DataFrame, counts: np.ndarray, name: str, marker: Mapping[str, object]) -> go.Bar:
    shares = 100 * counts / drawn["parameters_before"].to_numpy(np.float64)
    names = np.array([escaped(layer) for layer in drawn["layer"]], object)
    return go.Bar(
        y=np.arange(len(drawn), dtype=np.int32),
        x=counts.astype(np.int32),
        orientation="h",
        name=name,
        marker={**marker, "line": {"width": 0}},
        customdata=np.column_stack([names, shares.round(1)]),
        hovertemplate=f"%{{customdata[0]}}<br>%{{x}} parameters {name} (%{{customdata[1]}} %)<extra></extra>",
    )


def _shapes(drawn: pd.DataFrame) -> go.Scatter:
    """Write the shapes behind each bar; a layer without a shape after has gone."""
    shapes = zip(drawn["shape_before"], drawn["shape_after"], strict=True)
    return go.Scatter(
        x=drawn["parameters_before"].to_numpy(np.int32),
        y=np.arange(len(drawn), dtype=np.int32),
        mode="text",
        text=[f"\u2002{escaped(str(one))} → {escaped(str(other)) or 'gone'}" for one, other in shapes],
        textposition="middle right",
        textfont={"size": 12 if len(drawn) <= 32 else 10},
        hoverinfo="skip",
        showlegend=False,
    )
