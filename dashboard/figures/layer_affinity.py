"""Do tasks pull a layer the same way, and does what harms one harm the other? Every layer × every two tasks."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import empty, escaped, panels

DIVERGING = ((0.0, "#C2571A"), (0.5, "#9AA0AC"), (1.0, "#1F6FB2"))  # orange, grey, blue: of −1, 0, 1
SHOWN = {"cosine": "gradients: cosine", "transfer": "ablations: rank correlation"}
MOST_CELLS = 120  # with a number in each
READING = (
    "One row per layer, one column per pair of tasks. Left: the cosine between the gradients of their losses at the "
    "layer's weights; below 0 the tasks pull the layer apart. Right: the agreement on which channels matter when "
    "removed; near 1 both tasks rely on the same channels. In brackets: how many channels were removed alone; "
    "a few are weak evidence. Blank: not measured."
)


def layer_affinity(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, depth, task, other, cosine, transfer, ablated) as two maps side by side."""
    if frame.empty:
        return empty("Affinity needs two tasks or more.")
    layers = frame.drop_duplicates("layer")
    pairs = list(dict.fromkeys(zip(frame["task"], frame["other"], strict=True)))
    figure = panels(1, 2, list(SHOWN.values()), height=rows_height(len(layers)))
    named = frame.assign(pair=pd.Series(list(zip(frame["task"], frame["other"], strict=True)), frame.index, object))
    for column, figured in enumerate(SHOWN, start=1):
        grid = (
            named.pivot(index="layer", columns="pair", values=figured).reindex(layers["layer"]).reindex(columns=pairs)
        )
        _map(figure, grid.to_numpy(np.float32), column, layers)
    words = [f"{escaped(str(one))} – {escaped(str(other))}" for one, other in pairs]
    figure.update_xaxes(tickvals=np.arange(len(pairs)), ticktext=words, showgrid=False, tickangle=0)
    figure.update_yaxes(**layer_axis(layers))
    figure.update_yaxes(showticklabels=False, col=2)
    return figure


def _map(figure: go.Figure, values: np.ndarray, column: int, layers: pd.DataFrame) -> None:
    bar: dict[str, Any] = {"thickness": 12, "outlinewidth": 0, "tickvals": [-1, 0, 1]}
    count, hover = ("", "") if column == 1 else (" (%{customdata[1]})", "<br>from %{customdata[1]} channels")
    about = [[escaped(str(row.layer)), row.ablated] for row in layers.itertuples()]
    figure.add_trace(
        go.Heatmap(
            z=values,
            customdata=np.repeat(np.array(about, object)[:, None], values.shape[1], axis=1),
            colorscale=[list(stop) for stop in DIVERGING],
            zmin=-1,
            zmax=1,
            xgap=2,
            ygap=1,
            showscale=column == 1,
            colorbar={**bar, "title": {"text": "[1]"}, "len": 0.5},
            texttemplate=f"%{{z:.2f}}{count}" if values.size <= MOST_CELLS else None,
            textfont={"size": 11},
            hovertemplate=f"%{{customdata[0]}}<br>%{{z:.2f}}{hover}<extra></extra>",
        ),
        row=1,
        col=column,
    )
