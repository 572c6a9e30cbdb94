"""Is the relevance true? What it says of each channel, against what switching the channel off does."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from dashboard.figures.cell_points import HOVER, RING, carried
from dashboard.figures.look import NEUTRAL, empty, escaped, panels
from dashboard.selection import Selection

MOST_POINTS = 1800  # SVG points
MOST_NAMES = 12  # layers named in the legend
READING = (
    "One point per channel that was switched off alone, coloured by its layer. If the relevance is true, points of one "
    "layer rise from the lower left to the upper right: what is said to matter does. Both axes are logarithmic; a "
    "channel without any effect stands at the left or lower edge. Click a point to select its channel."
)


def relevance_against_ablation(
    frame: pd.DataFrame, layers: Sequence[str], task: str, selected: Selection | None = None
) -> go.Figure:
    """Draw `frame` (layer, channel, relevance, effect) as one trace per layer."""
    if frame.empty:
        return empty("No channel has been switched off yet: the explanation says so of its own accord.", height=360)
    drawn = frame if len(frame) <= MOST_POINTS else frame.nlargest(MOST_POINTS, "relevance")
    figure = panels(height=440)
    own_layers = [name for name in layers if (drawn["layer"] == name).any()]
    colours = sample_colorscale("viridis", (0.15 + 0.6 * np.linspace(0, 1, len(own_layers))).tolist())
    edges = tuple(_edge(drawn[name]) for name in ("relevance", "effect"))
    for place, (name, colour) in enumerate(zip(own_layers, colours, strict=True)):
        own = drawn[drawn["layer"] == name]
        figure.add_trace(_points(own, (name, colour, place < MOST_NAMES), layers, edges))
    if selected is not None:
        own = drawn[(drawn["layer"] == selected.layer) & (drawn["channel"] == selected.channel)]
        if len(own):
            place = {"x": own["relevance"].clip(lower=edges[0]), "y": own["effect"].clip(lower=edges[1])}
            figure.add_trace(go.Scatter(**place, mode="markers", name="selected", marker=RING, hoverinfo="skip"))
    figure.update_layout(showlegend=True, clickmode="event")
    figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top", "font": {"size": 11}})
    axis = {"type": "log", "exponentformat": "power", "dtick": 1, "minor": {"showgrid": False}}
    figure.update_xaxes(title_text=f"relevance for {escaped(task)}", **axis)
    figure.update_yaxes(title_text="measured effect of switching it off", **axis)
    return figure


def _edge(values: pd.Series) -> float:
    """Return where zeros stand on a log axis: below all that is not zero."""
    positive = values[values > 0]
    return float(positive.quantile(0.01)) / 2 if len(positive) else 1.0


def _points(
    own: pd.DataFrame, of: tuple[str, str, bool], layers: Sequence[str], edges: tuple[float, ...]
) -> go.Scatter:
    name, colour, named = of
    data = own.assign(said=own["relevance"].map("{:.3g}".format), done=own["effect"].map("{:.3g}".format))
    return go.Scatter(
        x=own["relevance"].clip(lower=edges[0]).to_numpy(np.float32),
        y=own["effect"].clip(lower=edges[1]).to_numpy(np.float32),
        mode="markers",
        name=escaped(name if len(name) <= 26 else f"…{name[-25:]}"),
        showlegend=named,
        marker={"size": 8, "color": colour, "opacity": 0.85, "line": {"width": 0.5, "color": NEUTRAL}},
        customdata=carried(data, layers, ["said", "done"]),
        hovertemplate=f"{HOVER}<br>relevance %{{customdata[3]}}<br>effect %{{customdata[4]}}<extra></extra>",
    )
