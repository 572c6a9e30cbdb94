"""Shared or specific? Three tasks: every channel as a point between them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.cell_points import HOVER, RING, carried, label_look
from winnow.dashboard.figures.style import GRID, Style, empty, escaped, panels
from winnow.dashboard.frames.cells import Cell
from winnow.engine.explain.usage import SHARED

MOST_POINTS = 1500  # SVG points: those with the largest total, the selected one besides
LARGE = 0.98  # quantile of the total from which on a point grows no more: a few channels of the input have it all
READING = (
    "One point per channel: the nearer to a corner, the more of its relevance is that task's; in the middle, all "
    "tasks rely on it equally. Area: the channel's share of all relevance. Colour and shape: its label, grey for "
    "shared. Faint: uncertain, a wide interval. Click a point to select its channel."
)


def ternary(
    frame: pd.DataFrame,
    tasks: Sequence[str],
    looks: Mapping[str, Style],
    layers: Sequence[str],
    selected: Cell | None = None,
) -> go.Figure:
    """Draw `frame` (layer, channel, share_<task>…, total, label, certainty) of three tasks."""
    if frame.empty:
        return empty("No task uses a channel here: all are dead or idle.", height=420)
    drawn = _drawn(frame, selected)
    figure = panels(height=560)
    largest = float(frame["total"].quantile(LARGE)) or 1.0
    for label in (SHARED, *tasks):
        own = drawn[drawn["label"] == label]
        if len(own):
            figure.add_trace(_points(own, tasks, label_look(label, looks), (label, largest, layers)))
    _ring(figure, drawn, tasks, selected)
    figure.update_layout(
        showlegend=True, ternary=_axes(tasks, looks), margin={"l": 60, "r": 60, "t": 48, "b": 56}, clickmode="event"
    )
    figure.update_layout(legend={"y": 1.04})
    return figure


def said_left_out(frame: pd.DataFrame, selected: Cell | None = None) -> str:
    """Say how many channels are not drawn; nothing where all are."""
    more = len(frame) - len(_drawn(frame, selected))
    return f"The {len(frame) - more} most relevant are drawn; {more} more are in the CSV." if more else ""


def _drawn(frame: pd.DataFrame, selected: Cell | None) -> pd.DataFrame:
    if len(frame) <= MOST_POINTS:
        return frame
    kept = frame["total"].nlargest(MOST_POINTS).index
    if selected is not None:
        kept = kept.union(frame.index[(frame["layer"] == selected.layer) & (frame["channel"] == selected.channel)])
    return frame.loc[kept.sort_values()]


def _points(
    own: pd.DataFrame, tasks: Sequence[str], look: Style, of: tuple[str, float, Sequence[str]]
) -> go.Scatterternary:
    label, largest, layers = of
    data = own.assign(percent=(100 * own["total"]).round(3), sure=own["certainty"].round(2))
    rows = "".join(f"<br>{escaped(task)} %{{{axis}:.0%}}" for task, axis in zip(tasks, "abc", strict=True))
    return go.Scatterternary(
        **_abc(own, tasks),
        mode="markers",
        name=escaped(label),
        marker={
            "symbol": look.marker,
            "color": look.colour,
            "size": (5 + 19 * np.sqrt(np.clip(own["total"].to_numpy() / largest, 0, 1))).astype(np.float32),
            "opacity": (0.25 + 0.65 * own["certainty"].to_numpy()).astype(np.float32),
            "line": {"width": 0},
        },
        customdata=carried(data, layers, ["percent", "sure"]),
        hovertemplate=f"{HOVER}: {escaped(label)}{rows}<br>%{{customdata[3]}} % of all relevance"
        "<br>certainty %{customdata[4]}<extra></extra>",
    )


def _ring(figure: go.Figure, drawn: pd.DataFrame, tasks: Sequence[str], selected: Cell | None) -> None:
    """Draw a ring around the selected channel."""
    if selected is None:
        return
    own = drawn[(drawn["layer"] == selected.layer) & (drawn["channel"] == selected.channel)]
    if len(own):
        figure.add_trace(
            go.Scatterternary(**_abc(own, tasks), mode="markers", name="selected", marker=RING, hoverinfo="skip")
        )


def _abc(own: pd.DataFrame, tasks: Sequence[str]) -> dict[str, np.ndarray]:
    return {axis: own[f"share_{task}"].to_numpy(np.float32) for axis, task in zip("abc", tasks, strict=True)}


def _axes(tasks: Sequence[str], looks: Mapping[str, Style]) -> dict[str, object]:
    """Return the three axes, each named and coloured as its task."""
    axes: dict[str, object] = {"bgcolor": "rgba(0,0,0,0)", "sum": 1}
    for axis, task in zip("abc", tasks, strict=True):
        colour = looks[task].colour
        axes[f"{axis}axis"] = {
            "title": {"text": f"<b>{escaped(task)}</b>", "font": {"color": colour, "size": 15}},
            "tickformat": ".0%",
            "dtick": 0.25,
            "tickfont": {"size": 11},
            "gridcolor": GRID,
            "linecolor": colour,
            "linewidth": 2,
        }
    return axes
