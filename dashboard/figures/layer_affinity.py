"""Do tasks pull a layer the same way, and does what harms one harm the other? Every layer × every two tasks."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.layer_counts import layer_axis, rows_height
from dashboard.figures.look import NEUTRAL, empty, escaped, panels

DIVERGING = ((0.0, "#C2571A"), (0.5, "#9AA0AC"), (1.0, "#1F6FB2"))  # orange, grey, blue: of −1, 0, 1
SHOWN = {"cosine": "gradients: cosine", "transfer": "ablations: rank correlation"}
MOST_CELLS = 120  # with a number in each
READING = (
    "One row per layer, one column per pair of tasks. Left: the cosine between the gradients of their losses at the "
    "layer's weights; below 0 they pull it apart. Right: whether the channels whose loss harms one task are those that "
    "harm the other; near 1 they rely on the same channels. Blank: not measured."
)


def layer_affinity(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, depth, task, other, cosine, transfer) as two maps side by side."""
    if frame.empty:
        return empty("The affinity is measured of two tasks or more.")
    layers = frame.drop_duplicates("layer")
    pairs = list(dict.fromkeys(zip(frame["task"], frame["other"], strict=True)))
    figure = panels(1, 2, list(SHOWN.values()), height=rows_height(len(layers)))
    named = frame.assign(pair=list(zip(frame["task"], frame["other"], strict=True)))
    for column, figured in enumerate(SHOWN, start=1):
        grid = (
            named.pivot(index="layer", columns="pair", values=figured).reindex(layers["layer"]).reindex(columns=pairs)
        )
        _map(figure, grid.to_numpy(np.float32), column, [escaped(str(name)) for name in layers["layer"]])
    words = [f"{escaped(str(one))} – {escaped(str(other))}" for one, other in pairs]
    figure.update_xaxes(tickvals=np.arange(len(pairs)), ticktext=words, showgrid=False, tickangle=0)
    figure.update_yaxes(**layer_axis(layers))
    figure.update_yaxes(showticklabels=False, col=2)
    return figure


def _map(figure: go.Figure, values: np.ndarray, column: int, layers: list[str]) -> None:
    hover = "%{text}<br>%{z:.2f}<extra></extra>"
    bar: dict[str, Any] = {"thickness": 12, "outlinewidth": 0, "tickvals": [-1, 0, 1]}
    figure.add_trace(
        go.Heatmap(
            z=values,
            text=np.repeat(np.array(layers, object)[:, None], values.shape[1], axis=1),
            colorscale=[list(stop) for stop in DIVERGING],
            zmin=-1,
            zmax=1,
            xgap=2,
            ygap=1,
            showscale=column == 1,
            colorbar={**bar, "title": {"text": "[1]"}, "len": 0.5},
            hovertemplate=hover,
        ),
        row=1,
        col=column,
    )
    if values.size > MOST_CELLS:
        return
    for (row, place), value in np.ndenumerate(values):
        said = {"text": "–", "font": {"color": NEUTRAL}} if np.isnan(value) else {"text": f"{value:.2f}"}
        font = {"size": 11, "color": "#FFFFFF" if abs(value) > 0.3 else "#0E1117"}
        note = {"font": font, **said, "showarrow": False}
        figure.add_annotation(x=place, y=row, row=1, col=column, **note)
