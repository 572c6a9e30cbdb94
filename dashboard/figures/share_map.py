"""Shared or specific, for any number of tasks? Layer × channel, coloured by the task that relies on a channel most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.cell_points import RING
from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels
from winnow.dashboard.frames.cells import Cell
from winnow.engine.explain.usage import DEAD, IDLE

SVG_POINTS = 2000  # beyond, the points are drawn by WebGL
PALE = 0.55  # opacity
WIDTH = 800.0  # px: about what a row has for its channels
READING = (
    "One row per layer, from the input at the top; one mark per channel. Colour and shape: the task with the largest "
    "share. Full colour: it surely has more than an equal share (lower end of its 95 % interval). Pale: some other "
    "task surely has less than an equal one. Small and grey: even. Ring: idle; stroke: dead. Click a mark to select "
    "its channel."
)


@dataclass(frozen=True)
class Marks:
    """How the points of one kind look: in the legend, in colour, shape and opacity."""

    name: str
    colour: str
    symbol: str
    opacity: float


def share_map(
    frame: pd.DataFrame,
    tasks: Sequence[str],
    looks: Mapping[str, Style],
    layers: Sequence[str],
    selected: Cell | None = None,
) -> go.Figure:
    """Draw `frame` (dashboard.frames.leads.leads), one row per layer of `layers`."""
    if frame.empty:
        return empty("The shares are drawn once they are measured.", height=420)
    figure = panels(height=rows_height(len(layers)))
    size = float(np.clip(WIDTH / (int(frame["channel"].max()) + 1), 3, 12))
    silent = frame["lead_state"].isin([DEAD, IDLE])
    for task in tasks:
        own, look = frame[(frame["dominant"] == task) & ~silent], looks[task]
        led, leant = (own[own["lead_state"] == lead_state] for lead_state in ("lead", "lean"))
        _add(figure, led, Marks(f"{task} leads", look.colour, look.marker, 1.0), layers, size)
        _add(figure, leant, Marks(f"leans to {task}", look.colour, look.marker, PALE), layers, 0.8 * size)
    _add(figure, frame[frame["lead_state"] == "even"], Marks("even", NEUTRAL, "circle", PALE), layers, 0.6 * size)
    _add(figure, frame[frame["label"] == IDLE], Marks(IDLE, NEUTRAL, "circle-open", 0.7), layers, 0.7 * size)
    _add(figure, frame[frame["label"] == DEAD], Marks(DEAD, NEUTRAL, "line-ne-open", 0.4), layers, 0.7 * size)
    if selected is not None and selected.layer in layers:
        place = [selected.channel], [list(layers).index(selected.layer)]
        figure.add_trace(
            go.Scatter(x=place[0], y=place[1], mode="markers", name="selected", marker=RING, hoverinfo="skip")
        )
    figure.update_layout(showlegend=True, clickmode="event")
    figure.update_yaxes(**layer_axis(pd.DataFrame({"layer": list(layers)})))
    figure.update_xaxes(title_text="channel", showgrid=False, range=[-1, int(frame["channel"].max()) + 1])
    return figure


def _add(figure: go.Figure, own: pd.DataFrame, marks: Marks, layers: Sequence[str], size: float) -> None:
    """Add the points of one kind; as there may be tens of thousands, what they carry (cell_points) is numbers alone."""
    if own.empty:
        return
    place = own["layer"].map({name: place for place, name in enumerate(layers)}).to_numpy(np.float32)
    kind = go.Scatter if len(own) <= SVG_POINTS else go.Scattergl
    shares = ": %{customdata[3]:.1f} %" if own["share"].notna().all() else ""
    figure.add_trace(
        kind(
            x=own["channel"].to_numpy(np.int32),
            y=place,
            mode="markers",
            name=escaped(marks.name),
            marker={
                "symbol": marks.symbol,
                "color": marks.colour,
                "opacity": marks.opacity,
                "size": size,
                "line": {"width": 1.5 if marks.symbol.endswith("open") else 0},
            },
            customdata=np.column_stack([place, place, own["channel"], 100 * own["share"]]).astype(np.float32),
            hovertemplate=f"%{{y}}, channel %{{customdata[2]}}<br>{escaped(marks.name)}{shares}<extra></extra>",
        )
    )
