"""Where do the groups die? Their norms over the epochs: the median of every layer, or every channel of one."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from winnow.dashboard.figures.style import (
    COLOURS,
    NEUTRAL,
    empty,
    escaped,
    evenly,
    of_all,
    panels,
    shortened,
    thinned,
    xy,
)

MOST_CURVES = 12  # layers drawn one by one; of a deeper network every k-th
MOST_LETTERS = 20  # of a name in the legend; where one points, it is whole
MOST_POINTS = 8000  # of all channels of a layer together
LAYERS_READING = (
    "Each curve is a layer, from the input (violet) to the output (green): the median norm of its living groups. It "
    "ends where the last group of the layer died. If not all layers are drawn, the label of the axis says how many "
    "are."
)
CHANNELS_READING = (
    "One curve per channel of the layer. A curve that ends at a cross is a channel that died there; blue channels are "
    "alive at the end."
)


def median_norms(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (at, layer, depth, median, alive, total) as one curve per layer, at most `MOST_CURVES`."""
    if frame.empty:
        return empty("The norms are recorded after each epoch.", height=400)
    figure = panels(height=520)
    depth = int(frame["depth"].max())
    drawn = evenly(depth + 1, MOST_CURVES)
    colours = sample_colorscale("viridis", (0.2 + 0.5 * drawn / max(depth, 1)).tolist())
    for place, colour in zip(drawn, colours, strict=True):
        figure.add_trace(_layer(frame[frame["depth"] == place], colour))
    figure.update_layout(showlegend=True, legend=_BELOW)
    figure.update_yaxes(title_text="median norm of living groups [1]", **_LOG)
    figure.update_xaxes(
        rangemode="nonnegative", title_text=f"epoch{of_all(len(drawn), depth + 1, 'layers, evenly spread')}"
    )
    return figure


def channel_norms_figure(frame: pd.DataFrame, layer: str) -> go.Figure:
    """Draw `frame` (at, channel, norm; NaN once dead) of one layer: the dead, the living, and where the dead ended."""
    if frame.empty:
        return empty("The norms are recorded after each epoch.", height=400)
    kept = _spread(frame)
    last = kept.groupby("channel")["norm"].transform("last")  # the last that is not NaN
    ends = kept["channel"].map(kept[kept["at"] == kept["at"].max()].set_index("channel")["norm"])
    living, dead = kept[ends.notna()], kept[ends.isna() & last.notna()]
    figure = panels(height=400)
    figure.add_trace(_bundle(dead, "died", NEUTRAL))
    figure.add_trace(_bundle(living, "alive at the end", COLOURS[0]))
    figure.add_trace(_deaths(dead))
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text=f"norm of the groups of {escaped(layer)} [1]", **_LOG)
    drawn, whole = (one["channel"].nunique() for one in (kept, frame))
    figure.update_xaxes(rangemode="nonnegative", title_text=f"epoch{of_all(drawn, whole, 'channels, evenly spread')}")
    return figure


_BELOW = {
    "entrywidth": 0.5,
    "entrywidthmode": "fraction",
    "y": -0.22,
    "yanchor": "top",
}  # two names a row, at any width
_LOG: dict[str, Any] = {"type": "log", "exponentformat": "power", "dtick": 1, "minor": {"showgrid": False}}


def _layer(own: pd.DataFrame, colour: str) -> go.Scatter:
    name = str(own["layer"].iloc[0])
    alive = thinned(own, "median")[["alive", "total"]].to_numpy(np.int32)
    return go.Scatter(
        **xy(own, "median"),
        name=escaped(shortened(name, MOST_LETTERS)),
        mode="lines+markers" if len(own) <= 60 else "lines",
        line={"color": colour, "width": 2},
        marker={"size": 4},
        customdata=alive,
        hovertemplate=f"{escaped(name)}<br>epoch %{{x:.0f}}<br>median norm %{{y:.3g}}<br>"
        "%{customdata[0]} of %{customdata[1]} alive<extra></extra>",
    )


def _spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every k-th channel, and of the epochs every m-th with the last, so that MOST_POINTS are not exceeded."""
    channels, moments = frame["channel"].unique(), frame["at"].unique()
    wanted = channels[:: -(-len(channels) // 256)]
    places = evenly(len(moments), max(2, MOST_POINTS // len(wanted)))
    return frame[frame["channel"].isin(wanted) & frame["at"].isin(moments[places])]


def _bundle(frame: pd.DataFrame, name: str, colour: str) -> go.Scatter:
    """Return one trace that holds a curve per channel, with a gap after each."""
    wide = frame.pivot_table(index="at", columns="channel", values="norm", dropna=False)
    moments, channels = wide.shape
    x = np.tile(np.r_[wide.index.to_numpy(np.float32), np.float32(np.nan)], channels)
    y = np.vstack([wide.to_numpy(np.float32), np.full((1, channels), np.nan, np.float32)]).T.ravel()
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines",
        line={"color": colour, "width": 1.2},
        opacity=0.8,
        customdata=np.repeat(wide.columns.to_numpy(np.int32), moments + 1),
        hovertemplate="channel %{customdata}<br>epoch %{x:.0f}<br>norm %{y:.3g}<extra></extra>",
    )


def _deaths(dead: pd.DataFrame) -> go.Scatter:
    """Return a cross at the last norm of each channel that died."""
    ends = dead.dropna(subset="norm").groupby("channel", as_index=False).last()
    return go.Scatter(
        x=ends["at"].to_numpy(np.float32),
        y=ends["norm"].to_numpy(np.float32),
        name="last norm",
        mode="markers",
        marker={"symbol": "x-thin", "size": 6, "line": {"width": 1.5, "color": NEUTRAL}},
        customdata=ends["channel"].to_numpy(np.int32),
        hovertemplate="channel %{customdata} died after epoch %{x:.0f}<extra></extra>",
    )
