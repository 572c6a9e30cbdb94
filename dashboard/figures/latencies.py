"""How fast is it? The time of a forward pass: dense, with zeros in place, and pruned, by batch size and runtime."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, SMALLER, empty, escaped, panels, room_at_the_right
from winnow.dashboard.shared.formatting import amount

MODELS = {"dense": "dense", "masked": "zeros in place", "pruned": "pruned"}
LOOKS: dict[str, dict[str, Any]] = {
    "dense": {"color": NEUTRAL, "symbol": "square", "size": 11},
    "masked": {"color": NEUTRAL, "symbol": "diamond-open", "size": 11, "line": {"width": 2}},
    "pruned": {"color": SMALLER, "symbol": "circle", "size": 12},
}
READING = (
    "The time of one forward pass, on a log axis: the median of rounds taken in turns, with the 10th and the 90th "
    "percentile. Zeros in place: what will be removed is zero, but still computed. Pale: the machine was busy, do "
    "not quote the time."
)


def latencies_figure(frame: pd.DataFrame, titles: list[str]) -> go.Figure:
    """Draw the latencies of `frame` (dashboard.frames.before_after.costs), a row each, with these titles."""
    timed = (frame["quantity"] == "latency") & frame["dense"].notna()
    drawn = frame[timed].reset_index(drop=True)
    if drawn.empty:
        return empty("Times are taken once the smaller network exists.")
    figure, longest = panels(height=140 + 66 * len(drawn)), ""
    for place, model in enumerate(MODELS):
        rows = drawn.index.to_numpy() + 0.25 * (place - 1)
        steady = drawn[f"{model}_steady"].astype(bool).to_numpy()
        for sure in (True, False):
            if (steady == sure).any():
                trace = _points(drawn[steady == sure], rows[steady == sure], model)
                named = sure or not steady.any()  # one entry of the legend per model
                figure.add_trace(trace.update(opacity=1.0 if sure else 0.45, showlegend=named))
        texts = _texts(drawn, rows, model)
        figure.add_trace(texts)
        longest = max(longest, *texts.text, key=len)
    room_at_the_right(figure, [longest])
    figure.update_layout(showlegend=True)
    names = [escaped(title).removeprefix("latency, ") for title, here in zip(titles, timed, strict=True) if here]
    figure.update_yaxes(tickvals=np.arange(len(drawn)), ticktext=names, range=[len(drawn) - 0.4, -0.6], showgrid=False)
    figure.update_xaxes(title_text="time of one forward pass [ms]", **_axis(drawn))
    return figure


def _points(own: pd.DataFrame, rows: np.ndarray, model: str) -> go.Scatter:
    """Return one model's times with their spread."""
    value, low, high = (1000 * own[f"{model}{end}"].astype(float) for end in ("", "_low", "_high"))
    return go.Scatter(
        x=value.to_numpy(np.float32),
        y=rows.astype(np.float32),
        mode="markers",
        name=MODELS[model],
        marker=LOOKS[model],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": (high - value).clip(lower=0).to_numpy(np.float32),
            "arrayminus": (value - low).clip(lower=0).to_numpy(np.float32),
            "color": LOOKS[model]["color"],
            "thickness": 1.5,
            "width": 4,
        },
        hovertemplate=f"{MODELS[model]}: %{{x:.4g}} ms<extra></extra>",
    )


def _texts(own: pd.DataFrame, rows: np.ndarray, model: str) -> go.Scatter:
    """Write the time behind each whisker, and whether the machine was busy."""
    ends = 1000 * own[[model, f"{model}_high"]].astype(float).max(axis=1)
    busy = ["" if steady else ", busy" for steady in own[f"{model}_steady"]]
    return go.Scatter(
        x=ends.to_numpy(np.float32),
        y=rows.astype(np.float32),
        mode="text",
        text=[f"\u2002\u2002{amount(value, 's')}{word}" for value, word in zip(own[model], busy, strict=True)],
        textposition="middle right",
        textfont={"size": 11},
        hoverinfo="skip",
        showlegend=False,
    )


def _axis(drawn: pd.DataFrame) -> dict[str, Any]:
    """Return a log axis around all whiskers."""
    columns = [f"{model}{end}" for model in MODELS for end in ("", "_low", "_high")]
    values = 1000 * drawn[columns].to_numpy(float)
    low, high = np.log10(np.nanmin(values[values > 0])), np.log10(np.nanmax(values))
    span = max(high - low, 0.3)
    decades = range(int(np.floor(low)) - 1, int(np.ceil(high)) + 1)
    ticks = [10.0**decade * step for decade in decades for step in ((1, 2, 5) if span < 2.5 else (1,))]
    return {
        "type": "log",
        "range": [low - 0.08 * span, high + 0.02 * span],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }
