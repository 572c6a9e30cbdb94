"""Which layers lost how much? Alive against total in every layer, near the threshold marked."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import (
    COLOURS,
    NEAR,
    NEUTRAL,
    empty,
    escaped,
    of_all,
    panels,
    room_at_the_right,
    shortened,
)

MOST_LAYERS = 60
READING = (
    "One bar per layer, from the input at the top: its groups that are alive, near the threshold, or exactly zero. "
    "The numbers say alive / total."
)
LOOKS: dict[str, dict[str, Any]] = {
    "alive": {"color": COLOURS[0]},
    "near": {"color": NEAR},
    "dead": {"color": "rgba(128,132,149,0.12)", "pattern": {"shape": "/", "fgcolor": NEUTRAL, "size": 5}},
}
SAID = {"alive": "alive", "near": "near the threshold", "dead": "exactly zero"}


def layer_counts(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, alive, near, dead, total; alive without the near) as stacked bars.

    Of a deeper network, those `MOST_LAYERS` layers are drawn that lost the largest part of their groups.
    """
    if frame.empty:
        return empty("The groups are counted once the network is built.")
    drawn = most_lost(frame)
    figure = panels(height=rows_height(len(drawn)))
    for state, marker in LOOKS.items():
        figure.add_trace(_bars(drawn, state, marker))
    counts = _counts(drawn)
    figure.add_trace(counts)
    room_at_the_right(figure, counts.text)
    figure.update_layout(barmode="stack", bargap=0.28, showlegend=True, legend={"traceorder": "normal"})
    figure.update_yaxes(**layer_axis(drawn))
    widest = float(drawn["total"].max())
    figure.update_xaxes(title_text=f"groups [1]{left_out_layers(frame, drawn)}", range=[0, widest])
    figure.update_xaxes(dtick=1 if widest <= 10 else None)
    return figure


def most_lost(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the layers to draw, in the order of the network."""
    return largest_layers(frame, frame["dead"] / frame["total"])


def largest_layers(frame: pd.DataFrame, share: pd.Series) -> pd.DataFrame:
    """Return the `MOST_LAYERS` rows of which a share is largest, in the order of the network."""
    if len(frame) <= MOST_LAYERS:
        return frame
    kept = share.sort_values(ascending=False, kind="stable").index[:MOST_LAYERS]
    return frame.loc[np.sort(kept)]


def left_out_layers(frame: pd.DataFrame, drawn: pd.DataFrame, which: str = "those that lost most") -> str:
    """Say how many of the layers are drawn, and which; nothing where all are."""
    return of_all(len(drawn), len(frame), f"layers, {which}")


def rows_height(layers: int) -> int:
    """Return the height [px] of a figure with one row per layer."""
    return 120 + max(layers, 6) * (22 if layers <= 32 else 17)


def layer_axis(drawn: pd.DataFrame) -> dict[str, Any]:
    """Return an axis with one row per layer, the first at the top; rows stand at 0, 1, …, so that names may repeat."""
    names = [escaped(shortened(name, 34)) for name in drawn["layer"]]
    count = len(drawn)
    return {
        "tickvals": np.arange(count),
        "ticktext": names,
        "range": [count - 0.4, -0.6],
        "showgrid": False,
        "tickfont": {"size": 12 if count <= 32 else 10},
    }


def _bars(drawn: pd.DataFrame, state: str, marker: dict[str, Any]) -> go.Bar:
    shares = (100 * drawn[state] / drawn["total"]).to_numpy(np.float32)
    names = np.array([escaped(name) for name in drawn["layer"]], object)
    return go.Bar(
        y=np.arange(len(drawn), dtype=np.int32),
        x=drawn[state].to_numpy(np.int32),
        orientation="h",
        name=SAID[state],
        marker={**marker, "line": {"width": 0}},
        customdata=np.column_stack([names, shares.round(1)]),
        hovertemplate=f"%{{customdata[0]}}<br>%{{x}} {SAID[state]} (%{{customdata[1]}} %)<extra></extra>",
    )


def _counts(drawn: pd.DataFrame) -> go.Scatter:
    """Write alive / total behind each bar; those near the threshold are alive."""
    alive = drawn["alive"] + drawn["near"]
    return go.Scatter(
        x=drawn["total"].to_numpy(np.int32),
        y=np.arange(len(drawn), dtype=np.int32),
        mode="text",
        text=[f"\u2002{a}/{t}" for a, t in zip(alive, drawn["total"], strict=True)],
        textposition="middle right",
        textfont={"size": 12 if len(drawn) <= 32 else 10},
        hoverinfo="skip",
        showlegend=False,
    )
