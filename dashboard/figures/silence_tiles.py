"""Where in the images is each layer silent? One small map per layer, in the order in which the network runs."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from winnow.dashboard.figures.style import CIVIDIS, NEUTRAL, empty, escaped, panels, shortened
from winnow.dashboard.frames.answers.answer import percent
from winnow.engine.explain.maps.store import resized_maps

ACROSS = 6  # maps side by side
CELLS = 20  # positions along a side of a drawn map
GAP, ABOVE = 2, 5  # cells between two maps, and above one for its name
ROW_HEIGHT = 150  # px
READING = (
    "One map per layer, from the input at the upper left; each map covers the whole image. Colour: the share of the "
    "layer's living channels that are exactly 0 at a position, where they add nothing. 0 %: every channel is active "
    "there. 100 %: the layer reads nothing. Click a map to see the layer's channels."
)
Shares = NDArray[np.float32]


def silence_tiles(maps: Sequence[tuple[str, Shares]], selected: str | None = None) -> go.Figure:
    """Draw maps (layer, shares (h, w) from 0 to 1) as tiles; the points carry the name of the layer and its place."""
    if not maps:
        return empty("No layer of this explanation has a living channel.")
    rows = -(-len(maps) // ACROSS)
    figure = panels(height=70 + ROW_HEIGHT * rows)
    pitch = (CELLS + ABOVE, CELLS + GAP)
    board = np.full((rows * pitch[0], min(ACROSS, len(maps)) * pitch[1] - GAP), np.nan, np.float32)
    places = [(at // ACROSS * pitch[0] + ABOVE, at % ACROSS * pitch[1]) for at in range(len(maps))]
    for (top, left), (_, shares) in zip(places, maps, strict=True):
        board[top : top + CELLS, left : left + CELLS] = 100 * resized_maps(shares, CELLS, CELLS)
    bar = {"title": {"text": "silent [% of living channels]", "side": "right"}, "thickness": 12, "outlinewidth": 0}
    figure.add_trace(go.Heatmap(z=board, zmin=0, zmax=100, colorscale=list(CIVIDIS), colorbar=bar, hoverinfo="skip"))
    figure.add_trace(_names(maps, places))
    for (top, left), (name, _) in zip(places, maps, strict=True):
        if name == selected:
            frame = {"x0": left - 1, "x1": left + CELLS, "y0": top - 1, "y1": top + CELLS}
            figure.add_shape(type="rect", line={"color": "#E8447A", "width": 3}, **frame)
    figure.update_xaxes(visible=False, fixedrange=True, range=[-1.5, board.shape[1] + 0.5])
    figure.update_yaxes(visible=False, fixedrange=True, range=[board.shape[0], -0.5])
    figure.update_layout(margin={"l": 8, "t": 10, "b": 10})
    return figure


def _names(maps: Sequence[tuple[str, Shares]], places: Sequence[tuple[int, int]]) -> go.Scatter:
    """Write the names above the maps; an unseen square over each map takes the click."""
    return go.Scatter(
        x=[left + CELLS / 2 - 0.5 for _, left in places],
        y=[top + CELLS / 2 - 0.5 for top, _ in places],
        mode="markers",
        marker={"symbol": "square", "size": 84, "opacity": 0, "color": NEUTRAL},
        customdata=[[escaped(name), place, 0] for place, (name, _) in enumerate(maps)],
        text=[f"{percent(100 * float(shares.mean()))} silent" for _, shares in maps],
        hovertemplate="%{customdata[0]}<br>%{text}<extra></extra>",
        showlegend=False,
    )


def named_tiles(figure: go.Figure, maps: Sequence[tuple[str, Shares]]) -> go.Figure:
    """Write above each map of a figure of `silence_tiles` the name of its layer and how silent it is on average."""
    for at, (name, shares) in enumerate(maps):
        figure.add_annotation(
            x=at % ACROSS * (CELLS + GAP),
            y=at // ACROSS * (CELLS + ABOVE) + ABOVE - 1,
            text=f"{escaped(shortened(name, 17))} · {percent(100 * float(shares.mean()))}",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 11},
        )
    return figure
