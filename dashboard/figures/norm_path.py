"""How does each channel of a layer shrink along the path? The norms of its largest channels against sparsity."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import CIVIDIS, NEUTRAL, empty, of_all, panels

MOST = 50  # channels
READING = (
    "One line per channel, at most the 50 with the largest norms; smaller norms are darker. A line ends, at a cross, "
    "where its channel is dead. The networks were trained separately: the lines only join the dots."
)


def norm_path(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (dashboard.frames.paths.path_norms), one line per channel."""
    if frame.empty or frame["norm"].isna().all():
        return empty("No channel of this layer is alive at any point.", height=420)
    grid = frame.pivot_table("norm", "channel", "level", dropna=False)
    kept = grid.max(axis=1).nlargest(MOST).dropna().index
    along = frame.drop_duplicates("level").set_index("level").loc[grid.columns, ["group_sparsity", "label"]]
    figure = panels(height=440)
    x = along["group_sparsity"].to_numpy(np.float32)
    for place, channel in enumerate(kept[::-1]):
        colour = CIVIDIS[min(place * len(CIVIDIS) // max(len(kept), 1), len(CIVIDIS) - 1)]
        figure.add_trace(_line(x, grid.loc[channel], int(channel), colour))
    figure.add_trace(_ends(x, grid.loc[kept]))
    part = of_all(len(kept), len(grid), "channels, the largest that live")
    figure.update_xaxes(title_text=f"groups exactly zero [%]{part}")
    figure.update_yaxes(title_text="norm of the channel's group [1]", type="log", exponentformat="power")
    return figure


def _line(x: np.ndarray, norms: pd.Series, channel: int, colour: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=norms.to_numpy(np.float32),
        mode="lines+markers",
        line={"color": colour, "width": 1.3},
        marker={"size": 4},
        hovertemplate=f"channel {channel}<br>%{{x:.0f}} % of the groups zero<br>norm %{{y:.3g}}<extra></extra>",
    )


def _ends(x: np.ndarray, grid: pd.DataFrame) -> go.Scatter:
    """Mark the last point at which each channel lives, where that is not the last of all."""
    alive = grid.notna().to_numpy()
    last = alive.shape[1] - 1 - alive[:, ::-1].argmax(axis=1)
    dies = alive.any(axis=1) & (last < alive.shape[1] - 1)
    values = grid.to_numpy(float)[np.arange(len(grid)), last]
    return go.Scatter(
        x=x[last[dies]],
        y=values[dies].astype(np.float32),
        mode="markers",
        marker={"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": NEUTRAL}},
        hoverinfo="skip",
    )
