"""In which order do the layers die along a path? The part of each layer that is dead, point by point."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import MOST_LAYERS, layer_axis, rows_height
from winnow.dashboard.figures.style import empty, escaped, panels

SHADES = [[0.0, "rgba(128,132,149,0.10)"], [0.5, "#8a8678"], [1.0, "#c43d00"]]
READING = (
    "One row per layer, from the input at the top; one column per point of the path: the share of the layer's groups "
    "that is dead there. The layers whose rows turn red early die first. The CSV lists, for each group, the first "
    "point at which it is dead, in the runs of the first seed."
)


def death_order(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, depth, level, label, dead [%])."""
    if frame.empty:
        return empty("The order is known once two points of the path have ended.", height=340)
    shown = frame[frame["depth"] < MOST_LAYERS]
    grid = shown.pivot_table("dead", "depth", "level", sort=True)
    layers = shown.drop_duplicates("depth").sort_values("depth")
    labels = [escaped(str(label)) for label in shown.drop_duplicates("level").sort_values("level")["label"]]
    figure = panels(height=rows_height(len(layers)))
    figure.add_trace(
        go.Heatmap(
            z=grid.to_numpy(np.float32),
            x=np.arange(grid.shape[1], dtype=np.int32),
            y=np.arange(grid.shape[0], dtype=np.int32),
            zmin=0,
            zmax=100,
            xgap=2,
            ygap=2,
            colorscale=SHADES,
            colorbar={"title": {"text": "dead [%]", "side": "right"}, "thickness": 14},
            customdata=np.tile(np.array(labels, object), (len(layers), 1)),
            hovertemplate="%{customdata}<br>%{z:.0f} % dead<extra></extra>",
        )
    )
    figure.update_yaxes(**layer_axis(layers))
    every = max(1, len(labels) // 20)
    figure.update_xaxes(
        title_text="point of the path",
        tickvals=np.arange(0, len(labels), every),
        ticktext=labels[::every],
        showgrid=False,
        automargin=True,
    )
    return figure
