"""Is one arm better than another, and how sure is that? Paired differences with their 95 % intervals."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, NEUTRAL, empty, escaped, panels

LOOKS = {"dense": ("from the dense network", COLOURS[0], "circle"), "arm": ("from another arm", COLOURS[1], "square")}
READING = (
    "One row per comparison, paired seed by seed: the mean difference of Δ_m in percentage points, with the 95 % "
    "interval of the mean (Student's t). To the right of 0 the first is better. An interval that contains 0 shows no "
    "difference. No whisker: one seed, so no interval."
)


def paired_differences(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (dashboard.frames.differences.paired), one row per comparison."""
    if frame.empty:
        return empty("Differences need a sparse arm and a dense one of the same tasks and seed.", height=300)
    figure = panels(height=110 + 30 * len(frame))
    for kind, (name, colour, symbol) in LOOKS.items():
        own = frame[frame["kind"] == kind]
        if len(own):
            figure.add_trace(_points(own, name, colour, symbol))
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text="difference of Δ_m, right is better [percentage points]")
    figure.update_yaxes(
        tickvals=np.arange(len(frame)),
        ticktext=[escaped(str(title)) for title in frame["title"]],
        range=[len(frame) - 0.4, -0.6],
        showgrid=False,
    )
    return figure


def _points(own: pd.DataFrame, name: str, colour: str, symbol: str) -> go.Scatter:
    value = own["difference"].to_numpy(float)
    ends = {side: np.abs(own[side].to_numpy(float) - value) for side in ("low", "high")}
    ends = {side: np.where(np.isfinite(by), by, 0.0).astype(np.float32) for side, by in ends.items()}
    said = [_said(row) for _, row in own.iterrows()]
    return go.Scatter(
        x=value.astype(np.float32),
        y=own.index.to_numpy(np.int32),
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 10},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": ends["high"],
            "arrayminus": ends["low"],
            "width": 5,
            "thickness": 1.7,
        },
        customdata=said,
        hovertemplate="%{customdata}<extra></extra>",
    )


def _said(row: pd.Series) -> str:
    seeds = int(row["pairs"])
    if not np.isfinite(row["low"]):
        return f"{row['difference']:+.2f}, one seed"
    return f"{row['difference']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}), {seeds} seeds"
