"""What figures of survivors in common share: the layers by depth, the Jaccard index, the curve of mere chance."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, escaped, shortened

LONGEST = 26  # characters of a layer's name


def set_overlap_axes(figure: go.Figure, frame: pd.DataFrame, part: str = "") -> None:
    """Put the layers of `frame` (layer, depth) across, from the input to the output, and the Jaccard index up.

    `part` says how much of all is drawn (figures.style.of_all).
    """
    layers = frame.drop_duplicates("depth").sort_values("depth")
    figure.update_xaxes(
        tickvals=layers["depth"].to_numpy(np.int32),
        ticktext=[escaped(shortened(str(name), LONGEST)) for name in layers["layer"]],
        tickangle=-40,
        tickfont={"size": 11},
        title_text=f"layer, from the input to the output{part}",
    )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text="survivors in common (Jaccard) [1]", range=[-0.03, 1.03], dtick=0.25)


def by_chance(chance: pd.Series, named: bool = True) -> go.Scatter:
    """Return the curve of what random sets of the same sizes share, by depth; `named` in the legend or not."""
    return go.Scatter(
        x=chance.index.to_numpy(np.int32),
        y=chance.to_numpy(np.float32),
        name="by chance",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        showlegend=named,
        hovertemplate="by chance %{y:.2f}<extra></extra>",
    )
