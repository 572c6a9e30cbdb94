"""Which channels does a task rely on most? The first of them, each with its interval over images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.cell_points import HOVER, carried
from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels, shortened
from winnow.dashboard.frames.cells import Cell

READING = (
    "The channels that this task relies on most, the first at the top. Bar: relevance; line: its 95 % interval over "
    "images. Two bars whose lines overlap cannot be ranked. Click a bar to select its channel."
)
OUTLINE = "#E8447A"


def top_channels(
    frame: pd.DataFrame, look: Style, layers: Sequence[str], unit: str, selected: Cell | None = None
) -> go.Figure:
    """Draw `frame` (layer, channel, relevance, low, high, part, label, perhaps name), the first row at the top."""
    if frame.empty:
        return empty("No channel has relevance for this task here.", height=300)
    figure = panels(height=80 + 24 * len(frame))
    names = [f"{escaped(shortened(str(row.layer), 30))} · {row.channel}" for row in frame.itertuples()]
    if "name" in frame:
        own = [f" “{escaped(shortened(str(text), 24))}”" if text else "" for text in frame["name"]]
        names = [f"{name}{text}" for name, text in zip(names, own, strict=True)]
    chosen = _chosen(frame, selected)
    value = frame["relevance"].to_numpy(np.float32)
    data = frame.assign(percent=frame["part"].round(2), said=[escaped(str(label)) for label in frame["label"]])
    figure.add_trace(
        go.Bar(
            y=np.arange(len(frame), dtype=np.int32),
            x=value,
            orientation="h",
            name="relevance",
            marker={
                "color": look.colour,
                "opacity": 0.7,
                "line": {"width": np.where(chosen, 3, 0), "color": OUTLINE},
            },
            error_x=_interval(frame),
            customdata=carried(data, layers, ["percent", "said"]),
            hovertemplate=f"{HOVER}<br>relevance %{{x:.3g}}<br>%{{customdata[3]}} % of the task's"
            "<br>%{customdata[4]}<extra></extra>",
        )
    )
    figure.update_layout(bargap=0.3, clickmode="event", margin={"t": 8})
    figure.update_yaxes(
        tickvals=np.arange(len(frame)),
        ticktext=[f"<b>{name}</b>" if own else name for name, own in zip(names, chosen, strict=True)],
        range=[len(frame) - 0.4, -0.6],
        showgrid=False,
        tickfont={"size": 11},
    )
    figure.update_xaxes(title_text=f"relevance [{escaped(unit)}]", rangemode="tozero", exponentformat="power")
    return figure


def _interval(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the line from low to high across a bar."""
    return {
        "type": "data",
        "symmetric": False,
        "array": (frame["high"] - frame["relevance"]).to_numpy(np.float32),
        "arrayminus": (frame["relevance"] - frame["low"]).to_numpy(np.float32),
        "color": NEUTRAL,
        "thickness": 2,
        "width": 4,
    }


def _chosen(frame: pd.DataFrame, selected: Cell | None) -> np.ndarray:
    if selected is None:
        return np.zeros(len(frame), bool)
    return ((frame["layer"] == selected.layer) & (frame["channel"] == selected.channel)).to_numpy(bool)
