"""How fast is it? The time of a forward pass: dense, with zeros in place, and pruned, by batch size and runtime."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.look import NEUTRAL, SMALLER, empty, escaped, panels
from dashboard.words import amount

MODELS = {"dense": "dense", "masked": "zeros in place", "pruned": "pruned"}
LOOKS: dict[str, dict[str, Any]] = {
    "dense": {"color": NEUTRAL, "symbol": "square", "size": 11},
    "masked": {"color": NEUTRAL, "symbol": "diamond-open", "size": 11, "line": {"width": 2}},
    "pruned": {"color": SMALLER, "symbol": "circle", "size": 12},
}
BUSY = "#808495"
READING = (
    "The time of one forward pass on a log axis: the median of rounds taken in turns, with the 10th and the 90th "
    "percentile. Zeros in place: what went is zero, but still computed. A cross: the machine was busy, do not quote it."
)


def latencies(frame: pd.DataFrame, titles: list[str]) -> go.Figure:
    """Draw the latencies of `frame` (dashboard.frames.before_after.costs), a row each, with these titles."""
    timed = (frame["quantity"] == "latency") & frame["dense"].notna()
    drawn = frame[timed].reset_index(drop=True)
    if drawn.empty:
        return empty("Times are taken once the smaller network is there.")
    figure = panels(height=140 + 66 * len(drawn))
    for place, model in enumerate(MODELS):
        figure.add_trace(_points(drawn, model, (place - 1) * 0.25))
    figure.update_layout(showlegend=True)
    names = [escaped(title).removeprefix("latency, ") for title, here in zip(titles, timed, strict=True) if here]
    figure.update_yaxes(tickvals=np.arange(len(drawn)), ticktext=names, range=[len(drawn) - 0.4, -0.6], showgrid=False)
    figure.update_xaxes(title_text="time of one forward pass [ms]", **_axis(drawn))
    return figure


def _points(drawn: pd.DataFrame, model: str, offset: float) -> go.Scatter:
    """Return one model's times; those that are not steady as crosses."""
    value, low, high = (1000 * drawn[f"{model}{end}"].astype(float) for end in ("", "_low", "_high"))
    steady = drawn[f"{model}_steady"].fillna(value=True).astype(bool)
    look = LOOKS[model]
    texts = [
        f"{amount(ms / 1000, 's')}{'' if sure else ', machine was busy'}"
        for ms, sure in zip(value, steady, strict=True)
    ]
    return go.Scatter(
        x=value.to_numpy(np.float32),
        y=np.arange(len(drawn), dtype=np.float32) + offset,
        mode="markers+text",
        name=MODELS[model],
        marker={**look, "symbol": [look["symbol"] if sure else "x-thin-open" for sure in steady]},
        text=[f"\u2002\u2002{text}" for text in texts],
        textposition="top right",
        textfont={"size": 11},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": (high - value).clip(lower=0).to_numpy(np.float32),
            "arrayminus": (value - low).clip(lower=0).to_numpy(np.float32),
            "color": look["color"],
            "thickness": 1.5,
            "width": 4,
        },
        hovertemplate=f"{MODELS[model]}: %{{text}}<extra></extra>",
    )


def _axis(drawn: pd.DataFrame) -> dict[str, Any]:
    """Return a log axis around all whiskers, with room for the words behind the last."""
    columns = [f"{model}{end}" for model in MODELS for end in ("", "_low", "_high")]
    values = 1000 * drawn[columns].to_numpy(float)
    low, high = np.log10(np.nanmin(values[values > 0])), np.log10(np.nanmax(values))
    span = max(high - low, 0.3)
    return {"type": "log", "range": [low - 0.08 * span, high + 0.28 * span], "dtick": "D2" if span < 2.5 else 1}
