"""Which class pays? The change of every class's IoU, with the interval that other images would give."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, SMALLER, empty, escaped, panels, shortened

READING = (
    "One row per class, the largest loss at the top: the change of its IoU in percentage points, with the 95 % "
    "interval from resampling the images. Grey: the interval contains 0, so these images show no change. The interval "
    "says nothing of another training."
)
MOST = 40  # classes


def class_changes(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (frames.who_pays.class_changes), at most the first 40 classes."""
    known = frame[frame["change"].notna()].head(MOST).reset_index(drop=True)
    if known.empty:
        return empty("No class was judged image by image.")
    figure = panels(height=100 + 24 * len(known))
    sure = (known["low"] > 0) | (known["high"] < 0)
    for name, own, colour in (("changed", known[sure], SMALLER), ("no change shown", known[~sure], NEUTRAL)):
        if len(own):
            figure.add_trace(_points(own, name, colour))
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text="change of the IoU, right is better [percentage points]")
    figure.update_yaxes(
        tickvals=np.arange(len(known)),
        ticktext=[escaped(shortened(str(name), 24)) for name in known["name"]],
        range=[len(known) - 0.4, -0.6],
        showgrid=False,
    )
    return figure


def _points(own: pd.DataFrame, name: str, colour: str) -> go.Scatter:
    value = own["change"].to_numpy(float)
    return go.Scatter(
        x=value.astype(np.float32),
        y=own.index.to_numpy(np.int32),
        mode="markers",
        name=name,
        marker={"color": colour, "size": 9, "symbol": "circle" if colour == SMALLER else "circle-open"},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(own["high"] - value).clip(0).astype(np.float32),
            "arrayminus": np.nan_to_num(value - own["low"]).clip(0).astype(np.float32),
            "width": 4,
            "thickness": 1.6,
        },
        customdata=np.column_stack([own[name] for name in ("one", "other", "low", "high", "images")]),
        hovertemplate="%{customdata[0]:.1f} % → %{customdata[1]:.1f} %<br>%{x:+.2f} points "
        "(%{customdata[2]:+.2f} to %{customdata[3]:+.2f})<br>in %{customdata[4]} images<extra></extra>",
    )
