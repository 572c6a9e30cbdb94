"""Is one better than another, and how sure is that? Arms of a study, and classes, with their 95 % intervals."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, NEUTRAL, SMALLER, empty, escaped, of_all, panels, shortened

LOOKS = {"dense": ("from the dense network", COLOURS[0], "circle"), "arm": ("from another arm", COLOURS[1], "square")}
READING = (
    "One row per comparison, paired seed by seed: the mean difference of Δ_m in percentage points, with the 95 % "
    "interval of the mean (Student's t). To the right of 0 the first is better. An interval that contains 0 shows no "
    "difference. No whisker: one seed, so no interval."
)
CLASSES_READING = (
    "One row per class, the largest loss at the top: the change of its IoU in percentage points, with the 95 % "
    "interval from resampling the images. Grey: the interval contains 0, so these images show no change. The interval "
    "says nothing about another training run."
)
MOST_CLASSES = 40  # classes


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


def class_changes(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (frames.who_pays.class_changes), at most the first 40 classes."""
    judged = frame[frame["change"].notna()]
    known = judged.head(MOST_CLASSES).reset_index(drop=True)
    if known.empty:
        return empty("No class was judged image by image.")
    figure = panels(height=100 + 24 * len(known))
    sure = (known["low"] > 0) | (known["high"] < 0)
    for name, own, colour in (("changed", known[sure], SMALLER), ("no change shown", known[~sure], NEUTRAL)):
        if len(own):
            figure.add_trace(_class_points(own, name, colour))
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_layout(showlegend=True)
    part = of_all(len(known), len(judged), "classes")
    figure.update_xaxes(title_text=f"change of the IoU, right is better [percentage points]{part}")
    figure.update_yaxes(
        tickvals=np.arange(len(known)),
        ticktext=[escaped(shortened(str(name), 24)) for name in known["name"]],
        range=[len(known) - 0.4, -0.6],
        showgrid=False,
    )
    return figure


def _class_points(own: pd.DataFrame, name: str, colour: str) -> go.Scatter:
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
