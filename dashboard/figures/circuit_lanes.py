"""Where do the tasks part? The edges that their circuits keep, as a trunk that splits into branches."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.cell_points import HOVER, RING, carried
from winnow.dashboard.figures.style import (
    GRID,
    NEUTRAL,
    SMALLER,
    Style,
    empty,
    escaped,
    evenly,
    of_all,
    panels,
    shortened,
)
from winnow.dashboard.frames.cells import Cell
from winnow.engine.explain.usage import JOIN

NODES = 8  # per layer and lane
LANES = 9
GAP = 0.12  # between lanes, of the height of a layer
MOST_LAYERS = 60
READING = (
    "From the input on the left to the heads on the right. Each band is a set of tasks: its height is the part of the "
    "kept edges of that layer that exactly these tasks keep. Grey: all tasks; violet: some; else one task alone. Marks "
    f"are channels, at most {NODES} per band and layer, larger where more kept edges read them. Click one to select it."
)


def circuit_lanes_figure(
    lanes: pd.DataFrame,
    nodes: pd.DataFrame,
    tasks: Sequence[str],
    looks: Mapping[str, Style],
    layers: Sequence[str],
    selected: Cell | None = None,
) -> go.Figure:
    """Draw `lanes` and `nodes` (dashboard.frames.circuits); `layers` are those in which a channel can be selected.

    Of a deeper network `MOST_LAYERS` layers are drawn, evenly spread from the input to the heads, which is said.
    """
    if lanes.empty:
        return empty("The circuits are drawn once they are found.")
    depths = np.unique(lanes["depth"])
    kept = depths[evenly(len(depths), MOST_LAYERS)]
    drawn, nodes = _side_by_side(lanes, kept), _side_by_side(nodes, kept)
    middles = _middles(drawn, tasks)
    figure = panels(height=180 + 60 * max(len(middles), 4))
    for name, middle in middles.items():
        _band(figure, drawn[drawn["tasks"] == name], middle, _look(name, tasks, looks))
    for name, middle in middles.items():
        own = nodes[nodes["tasks"] == name]
        _marks(figure, _spread(own, drawn[drawn["tasks"] == name], middle), _look(name, tasks, looks), layers)
    if selected is not None:
        _ring(figure, nodes, selected, middles)
    figure.update_layout(showlegend=True, clickmode="event")
    figure.update_yaxes(showticklabels=False, showgrid=False)
    _name_layers(figure, drawn)
    part = of_all(len(kept), len(depths), "layers, evenly spread")
    part += of_all(len(middles), drawn["tasks"].nunique(), "sets of tasks, the largest")
    figure.update_xaxes(title_text=part.removeprefix("<br>"))
    return figure


def _side_by_side(frame: pd.DataFrame, kept: np.ndarray) -> pd.DataFrame:
    """Return the rows of the layers that are drawn, the depth counted over these: no gap is left by the others."""
    own = frame[frame["depth"].isin(kept)]
    return own.assign(depth=np.searchsorted(kept, own["depth"].to_numpy()))


def _name_layers(figure: go.Figure, drawn: pd.DataFrame) -> None:
    names = drawn.drop_duplicates("depth")[["depth", "layer"]]
    last = drawn["depth"].max()
    heads = drawn.loc[drawn["depth"] == last, "layer"].nunique() > 1
    text = [
        "heads" if heads and depth == last else escaped(shortened(str(name), 22)) for depth, name in names.to_numpy()
    ]
    figure.update_xaxes(tickvals=names["depth"].to_numpy(), ticktext=text, tickangle=40, gridcolor=GRID)


def _middles(lanes: pd.DataFrame, tasks: Sequence[str]) -> dict[str, float]:
    """Return the height of the middle of each band, that of all tasks in the middle of those that it splits into."""
    sizes = lanes.groupby("tasks")["edges"].sum().nlargest(LANES)
    places = {name: np.mean([list(tasks).index(task) for task in str(name).split(JOIN)]) for name in sizes.index}
    order = sorted(places, key=lambda name: (places[name], str(name).count(JOIN)))
    heights = lanes.groupby("tasks")["share"].max()
    found, top = {}, 0.0
    for name in order:
        found[str(name)] = top - float(heights[name]) / 2
        top -= float(heights[name]) + GAP
    return found


def _look(name: str, tasks: Sequence[str], looks: Mapping[str, Style]) -> Style:
    members = name.split(JOIN)
    if len(members) == 1:
        return looks[name]
    return Style(NEUTRAL, "solid", "pentagon") if len(members) == len(tasks) else Style(SMALLER, "dash", "hexagon")


def _band(figure: go.Figure, own: pd.DataFrame, middle: float, look: Style) -> None:
    name = escaped(str(own["tasks"].iloc[0]).replace(JOIN, " + "))
    whole = own.groupby("depth")["share"].sum()
    depth = np.arange(whole.index.min(), whole.index.max() + 1)
    half = whole.reindex(depth, fill_value=0.0).to_numpy(float) / 2
    figure.add_trace(
        go.Scatter(
            x=np.r_[depth, depth[::-1]].astype(np.float32),
            y=np.r_[middle + half, (middle - half)[::-1]].astype(np.float32),
            fill="toself",
            mode="lines",
            line={"color": look.colour, "width": 1, "dash": look.dash},
            opacity=0.45,
            name=name,
            hoverinfo="skip",
        )
    )


def _spread(nodes: pd.DataFrame, lane: pd.DataFrame, middle: float) -> pd.DataFrame:
    """Return the channels to draw in a band with their height, over one another within the band."""
    largest = nodes.sort_values("edges", ascending=False, kind="stable").groupby("depth", sort=False).head(NODES)
    shares = lane.groupby("depth")["share"].sum()
    place = largest.groupby("depth").cumcount()
    count = largest.groupby("depth")["channel"].transform("size")
    room = largest["depth"].map(shares).fillna(0.0).clip(lower=0.05)
    return largest.assign(y=middle + room * ((place + 0.5) / count - 0.5) * 0.9)


def _marks(figure: go.Figure, own: pd.DataFrame, look: Style, layers: Sequence[str]) -> None:
    if own.empty:
        return
    name = escaped(str(own["tasks"].iloc[0]).replace(JOIN, " + "))
    data = carried(own.assign(layer=own["at"].where(own["at"] != "", own["layer"])), layers, ["edges"])
    figure.add_trace(
        go.Scatter(
            x=own["depth"].to_numpy(np.float32),
            y=own["y"].to_numpy(np.float32),
            mode="markers",
            name=name,
            showlegend=False,
            marker={
                "symbol": look.marker,
                "color": look.colour,
                "size": (5 + 9 * np.sqrt(own["edges"] / max(own["edges"].max(), 1))).to_numpy(np.float32),
                "line": {"width": 0},
            },
            customdata=data,
            hovertemplate=f"{HOVER}<br>{name}: %{{customdata[3]}} kept edges<extra></extra>",
        )
    )


def _ring(figure: go.Figure, nodes: pd.DataFrame, selected: Cell, middles: Mapping[str, float]) -> None:
    own = nodes[(nodes["at"] == selected.layer) & (nodes["channel"] == selected.channel)]
    own = own[own["tasks"].isin(list(middles))]
    if len(own):
        figure.add_trace(
            go.Scatter(
                x=own["depth"], y=own["tasks"].map(middles), mode="markers", name="selected", marker=RING,
                hoverinfo="skip",
            )
        )  # fmt: skip
