"""How large are the groups of each layer now? The spread of the living norms, layer by layer."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import layer_axis, left_out_layers, most_lost, rows_height
from winnow.dashboard.figures.style import COLOURS, NEAR, NEUTRAL, empty, escaped, panels

MOST_POINTS = 1500  # SVG points: the near ones; a box holds the others
READING = (
    "One row per layer: the norms of its living groups, on a log axis. Thin line: smallest to largest; bar: the "
    "middle half; dot: median; amber: each group near the threshold. Dead groups have no place on a log axis."
)


def norm_spread(frame: pd.DataFrame, near: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, dead, total, minimum, lower, median, upper, maximum) and `near` (layer, channel, norm)."""
    if frame.empty:
        return empty("The norms are recorded after each epoch.")
    drawn = most_lost(frame)
    figure = panels(height=rows_height(len(drawn)))
    rows = np.arange(len(drawn), dtype=np.float32)
    figure.add_trace(_stretch(drawn, rows, ("minimum", "maximum"), 1.5, NEUTRAL))
    figure.add_trace(_stretch(drawn, rows, ("lower", "upper"), 7, COLOURS[0]))
    figure.add_trace(_near(drawn, near))
    figure.add_trace(_medians(drawn, rows))
    figure.update_layout(showlegend=True)
    figure.update_yaxes(**layer_axis(drawn))
    figure.update_xaxes(title_text=f"norm of the group [1]{left_out_layers(frame, drawn)}", **_log_axis(drawn))
    return figure


def _log_axis(drawn: pd.DataFrame) -> dict[str, Any]:
    """Return a log axis of at least a decade, or it might hold no tick."""
    low, high = np.log10(drawn["minimum"].min()), np.log10(drawn["maximum"].max())
    if not np.isfinite(low + high):
        low, high = 0.0, 0.0
    margin = max(0.05 * (high - low), (1.1 - (high - low)) / 2)
    dtick = "D2" if high - low < 3 else 1
    return {"type": "log", "exponentformat": "power", "dtick": dtick, "range": [low - margin, high + margin]}


def _stretch(drawn: pd.DataFrame, rows: np.ndarray, ends: tuple[str, str], width: float, colour: str) -> go.Scatter:
    """Return a horizontal line per layer between two of its quantiles, as one trace with gaps."""
    gap = np.full(len(drawn), np.nan, np.float32)
    x = np.column_stack([drawn[ends[0]].to_numpy(np.float32), drawn[ends[1]].to_numpy(np.float32), gap]).ravel()
    return go.Scatter(
        x=x,
        y=np.repeat(rows, 3),
        mode="lines",
        name="smallest to largest" if width < 5 else "middle half",
        line={"width": width, "color": colour},
        hoverinfo="skip",
    )


def _medians(drawn: pd.DataFrame, rows: np.ndarray) -> go.Scatter:
    names = [escaped(name) for name in drawn["layer"]]
    quantiles = drawn[["minimum", "lower", "upper", "maximum"]].map("{:.3g}".format)
    living = drawn["total"] - drawn["dead"]
    return go.Scatter(
        x=drawn["median"].to_numpy(np.float32),
        y=rows,
        mode="markers",
        name="median",
        marker={"size": 8, "color": COLOURS[0], "line": {"width": 1.5, "color": "#FFFFFF"}},
        customdata=np.column_stack([np.array(names, object), living, drawn["total"], quantiles]),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]} of %{customdata[2]} alive<br>median %{x:.3g}"
        "<br>middle half %{customdata[4]} to %{customdata[5]}"
        "<br>all %{customdata[3]} to %{customdata[6]}<extra></extra>",
    )


def _near(drawn: pd.DataFrame, near: pd.DataFrame) -> go.Scatter:
    """Return a tick per group near the threshold, the smallest first where there are too many."""
    places = pd.Series(np.arange(len(drawn)), index=drawn["layer"].to_numpy())
    own = near[near["layer"].isin(places.index)].nsmallest(MOST_POINTS, "norm")
    return go.Scatter(
        x=own["norm"].to_numpy(np.float32),
        y=own["layer"].map(places).to_numpy(np.float32),
        mode="markers",
        name="near the threshold",
        marker={"symbol": "line-ns-open", "size": 9, "color": NEAR, "line": {"width": 1.5}},
        customdata=own["channel"].to_numpy(np.int32),
        hovertemplate="channel %{customdata}<br>norm %{x:.3g}, near the threshold<extra></extra>",
    )
