"""Is the relevance true? What it says of each channel, against what switching the channel off does."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.cell_points import HOVER, RING, carried
from winnow.dashboard.figures.style import empty, escaped, of_all, panels
from winnow.dashboard.frames.cells import Cell

MOST_POINTS = 1800  # SVG points
DEPTHS = ((0.0, "#7A4FA3"), (0.5, "#2F8AA6"), (1.0, "#4FA35A"))  # from the input to the output; 3:1 on both pages
READING = (
    "One point per channel that was switched off alone, coloured by the depth of its layer. If the relevance is "
    "right, the points rise from the lower left to the upper right. Both axes are logarithmic; a channel without any "
    "effect is at the left or lower edge. Click a point to select its channel."
)
Edges = tuple[float, float]


def relevance_against_ablation(
    frame: pd.DataFrame, layers: Sequence[str], task: str, selected: Cell | None = None
) -> go.Figure:
    """Draw `frame` (layer, channel, relevance, effect); of many channels, the most relevant."""
    if frame.empty:
        return empty("No channel has been switched off yet.", height=300)
    drawn = frame if len(frame) <= MOST_POINTS else frame.nlargest(MOST_POINTS, "relevance")
    edges = _edge(drawn["relevance"]), _edge(drawn["effect"])
    figure = panels(height=440)
    figure.add_trace(_points(drawn, layers, edges))
    if selected is not None:
        own = drawn[(drawn["layer"] == selected.layer) & (drawn["channel"] == selected.channel)]
        if len(own):
            ring = go.Scatter(**_place(own, edges), mode="markers", name="selected", marker=RING, hoverinfo="skip")
            figure.add_trace(ring)
    axis = {"type": "log", "exponentformat": "power", "dtick": 1, "minor": {"showgrid": False}}
    figure.update_layout(clickmode="event", margin={"t": 12})
    part = of_all(len(drawn), len(frame), "channels, the most relevant")
    figure.update_xaxes(title_text=f"relevance for {escaped(task)}{part}", **axis)
    figure.update_yaxes(title_text="measured effect of switching it off", **axis)
    return figure


def _edge(values: pd.Series) -> float:
    """Return where zeros stand on a log axis: below all that is not zero."""
    positive = values[values > 0]
    return float(positive.quantile(0.01)) / 2 if len(positive) else 1.0


def _place(own: pd.DataFrame, edges: Edges) -> dict[str, np.ndarray]:
    return {
        axis: own[name].clip(lower=edge).to_numpy(np.float32)
        for axis, name, edge in zip("xy", ("relevance", "effect"), edges, strict=True)
    }


def _points(drawn: pd.DataFrame, layers: Sequence[str], edges: Edges) -> go.Scatter:
    depth = {name: place for place, name in enumerate(layers)}
    data = drawn.assign(said=drawn["relevance"].map("{:.3g}".format), done=drawn["effect"].map("{:.3g}".format))
    return go.Scatter(
        **_place(drawn, edges),
        mode="markers",
        name="channels",
        marker={
            "size": 8,
            "opacity": 0.85,
            "color": drawn["layer"].map(depth).fillna(0).to_numpy(np.float32),
            "cmin": 0,
            "cmax": max(len(layers) - 1, 1),
            "colorscale": [list(stop) for stop in DEPTHS],
            "colorbar": {
                "title": {"text": "layer", "side": "right"},
                "tickvals": [0, max(len(layers) - 1, 1)],
                "ticktext": ["first", "last"],
                "thickness": 12,
                "outlinewidth": 0,
            },
        },
        customdata=carried(data, layers, ["said", "done"]),
        hovertemplate=f"{HOVER}<br>relevance %{{customdata[3]}}<br>effect %{{customdata[4]}}<extra></extra>",
    )
