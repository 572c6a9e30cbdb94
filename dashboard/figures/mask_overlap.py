"""Do tasks trained alone choose the same channels? How far the survivors of runs agree, layer after layer."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.overlap_axes import by_chance, set_overlap_axes
from winnow.dashboard.figures.style import COLOURS, DASHES, MARKERS, empty, escaped, middled, of_all, panels

MOST_PAIRS = 12
LETTERS_EACH = 48  # of what a run is called in the legend
READING = (
    "One curve per pair of runs, from the input to the output: channels that survive in both ÷ channels that survive "
    "in either. Grey, dotted: what two random sets of the same sizes would share. Where a curve falls to its grey "
    "one, the two runs chose their channels independently of one another."
)


def mask_overlap(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, depth, one, other, jaccard, chance) as curves over the depth."""
    if frame.empty:
        return empty("Choose two runs or more whose networks have the same layers.", height=340)
    figure = panels(height=420)
    every = list(dict.fromkeys(zip(frame["one"], frame["other"], strict=True)))
    pairs = every[:MOST_PAIRS]
    for place, (one, other) in enumerate(pairs):
        own = frame[(frame["one"] == one) & (frame["other"] == other)]
        figure.add_trace(by_chance(own.set_index("depth")["chance"], named=place == 0))
        figure.add_trace(
            _pair(own, " – ".join(escaped(middled(str(run), LETTERS_EACH)) for run in (one, other)), place)
        )
    set_overlap_axes(figure, frame, of_all(len(pairs), len(every), "pairs"))
    return figure


def _pair(own: pd.DataFrame, name: str, place: int) -> go.Scatter:
    numbers = own[["one_in_other", "other_in_one"]].round(2).to_numpy()
    return go.Scatter(
        x=own["depth"].to_numpy(np.int32),
        y=own["jaccard"].to_numpy(np.float32),
        name=name,
        mode="lines+markers",
        line={"color": COLOURS[place % 4], "width": 2, "dash": DASHES[place // 4 % 4]},
        marker={"symbol": MARKERS[place % 4], "size": 8},
        customdata=numbers,
        hovertemplate=f"{name}<br>in common %{{y:.2f}}<br>of the first's %{{customdata[0]}}, of the second's "
        "%{customdata[1]}<extra></extra>",
    )
