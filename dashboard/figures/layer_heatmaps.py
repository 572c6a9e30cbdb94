"""Maps with a row per layer: affinity, layer × every two tasks; sensitivity, layer × share of its channels cut."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import empty, escaped, panels

DIVERGING = ((0.0, "#C2571A"), (0.5, "#9AA0AC"), (1.0, "#1F6FB2"))  # orange, grey, blue: of −1, 0, 1
SHOWN = {"cosine": "gradients: cosine", "transfer": "ablations: rank correlation"}
LETTERS_BELOW = 60  # of the names of all pairs, side by side below a map
MOST_NUMBERS = 120  # with a number in each
AFFINITY_READING = (
    "One row per layer, one column per pair of tasks. Left: the cosine between the gradients of their losses at the "
    "layer's weights; below 0 the tasks pull the layer in opposite directions. Right: the agreement on which channels "
    "matter when removed; near 1 both tasks rely on the same channels. In brackets: how many channels were removed "
    "alone; few channels are weak evidence. Blank: not measured."
)
WORSE = ((0.0, "#1F6FB2"), (0.5, "#9AA0AC"), (1.0, "#C2571A"))  # blue, grey, orange: of better, same, worse
FALLS = (0, 1, 10, 100)  # % of fall: ticks of the colours, which are those of log(1 + fall); the last one saturates
FEW_CELLS = 60  # of one map, with a number in each
MOST_MAPS = 4
SENSITIVITY_READING = (
    "One row per layer, from the input at the top; one column per share of its channels that is cut, those of lowest "
    "score first. All other layers stay whole. Colour and number: by how much the metric of the task falls, in % of "
    "what it is without the cut; below 0 it is better. Square: the suggested share."
)


def layer_affinity(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (layer, depth, task, other, cosine, transfer, ablated) as two maps side by side."""
    if frame.empty:
        return empty("Affinity needs two tasks or more.")
    layers = frame.drop_duplicates("layer")
    pairs = list(dict.fromkeys(zip(frame["task"], frame["other"], strict=True)))
    figure = panels(1, 2, list(SHOWN.values()), height=rows_height(len(layers)))
    paired = frame.assign(pair=pd.Series(list(zip(frame["task"], frame["other"], strict=True)), frame.index, object))
    for column, figured in enumerate(SHOWN, start=1):
        grid = (
            paired.pivot(index="layer", columns="pair", values=figured).reindex(layers["layer"]).reindex(columns=pairs)
        )
        _affinity_map(figure, grid, column, layers)
    words = [f"{one} – {other}" for one, other in pairs]
    named = sum(map(len, words)) <= LETTERS_BELOW
    figure.update_xaxes(
        tickvals=np.arange(len(pairs)) if named else [],
        ticktext=[escaped(word) for word in words] if named else [],
        title_text=None if named else f"{len(pairs)} pairs of tasks; point at a cell for its pair",
        showgrid=False,
        tickangle=0,
    )
    figure.update_yaxes(**layer_axis(layers))
    figure.update_yaxes(showticklabels=False, col=2)
    return figure


def _affinity_map(figure: go.Figure, grid: pd.DataFrame, column: int, layers: pd.DataFrame) -> None:
    values = grid.to_numpy(np.float32)
    bar: dict[str, Any] = {"thickness": 12, "outlinewidth": 0, "tickvals": [-1, 0, 1]}
    count, hover = ("", "") if column == 1 else (" (%{customdata[1]})", "<br>from %{customdata[1]} channels")
    pairs = [" – ".join(escaped(str(task)) for task in pair) for pair in grid.columns]
    about = [[[escaped(str(row.layer)), row.ablated, pair] for pair in pairs] for row in layers.itertuples()]
    figure.add_trace(
        go.Heatmap(
            z=values,
            customdata=np.array(about, object),
            colorscale=[list(stop) for stop in DIVERGING],
            zmin=-1,
            zmax=1,
            xgap=2,
            ygap=1,
            showscale=column == 1,
            colorbar={**bar, "title": {"text": "[1]"}, "len": 0.5},
            texttemplate=f"%{{z:.2f}}{count}" if values.size <= MOST_NUMBERS else None,
            textfont={"size": 11},
            hovertemplate=f"%{{customdata[0]}}<br>%{{customdata[2]}}<br>%{{z:.2f}}{hover}<extra></extra>",
        ),
        row=1,
        col=column,
    )


def sensitivity_map(falls: pd.DataFrame, suggested: pd.DataFrame, tasks: Sequence[str]) -> go.Figure:
    """Draw `falls` (engine.studies.layer_budgets.COLUMNS) as a map per task, at most MOST_MAPS of them."""
    tasks = list(tasks)[:MOST_MAPS]
    if falls.empty or not tasks:
        return empty("The map is drawn once the first layer is cut.", height=320)
    layers = falls.drop_duplicates("layer")
    shares = sorted(falls["share"].unique())
    figure = panels(1, len(tasks), tasks, height=rows_height(len(layers)))
    for column, task in enumerate(tasks, 1):
        own = falls[falls["task"] == task]
        grid = own.pivot_table(index="layer", columns="share", values="fall", sort=False, dropna=False)
        _falls_map(figure, own, grid.reindex(index=layers["layer"], columns=shares).to_numpy(float), column)
        _suggested(figure, suggested, list(layers["layer"]), shares, column)
    figure.update_xaxes(
        tickvals=np.arange(len(shares)),
        ticktext=[f"{share:g} %" for share in shares],
        showgrid=False,
        tickangle=0,
        title_text="channels cut" if len(tasks) < 4 else None,
        range=[-0.5, len(shares) - 0.5],
    )
    figure.update_yaxes(**layer_axis(layers))
    for column in range(2, len(tasks) + 1):
        figure.update_yaxes(showticklabels=False, col=column)
    return figure


def _falls_map(figure: go.Figure, own: pd.DataFrame, values: np.ndarray, column: int) -> None:
    ticks = [*(-tick for tick in FALLS[:0:-1]), *FALLS]
    bar: dict[str, Any] = {"thickness": 12, "outlinewidth": 0, "title": {"text": "fall [%]"}, "len": 0.6}
    bar |= {"tickvals": _shade(np.array(ticks, float)), "ticktext": [f"{tick}" for tick in ticks]}
    unit = escaped(str(own["unit"].iloc[0])) if len(own) else ""
    metric = escaped(str(own["metric"].iloc[0])) if len(own) else ""
    columns = ["layer", "cut", "channels", "value", "dense"]
    about = own.assign(layer=[escaped(str(layer)) for layer in own["layer"]])[columns].astype(object)
    data = about.to_numpy().reshape(*values.shape, len(columns)) if len(own) == values.size else None
    figure.add_trace(
        go.Heatmap(
            z=_shade(values).astype(np.float32),
            text=np.round(values, 1),
            customdata=data,
            colorscale=[list(stop) for stop in WORSE],
            zmin=-float(_shade(np.array(FALLS[-1], float))),
            zmax=float(_shade(np.array(FALLS[-1], float))),
            xgap=2,
            ygap=1,
            showscale=column == 1,
            colorbar=bar,
            texttemplate="%{text}" if values.size <= FEW_CELLS else None,
            textfont={"size": 11},
            hovertemplate="%{customdata[0]}: %{customdata[1]} of %{customdata[2]} channels gone<br>fall %{text} %<br>"
            f"{metric} %{{customdata[3]:.4g}} {unit}, without the cut %{{customdata[4]:.4g}} {unit}<extra></extra>",
        ),
        row=1,
        col=column,
    )


def _shade(falls: np.ndarray) -> np.ndarray:
    """Return the place of falls [%] among the colours: sign · log(1 + |fall|), at most that of the last tick."""
    capped = np.clip(falls, -FALLS[-1], FALLS[-1])
    return np.asarray(np.sign(capped) * np.log1p(np.abs(capped)))


def _suggested(figure: go.Figure, suggested: pd.DataFrame, layers: list[str], shares: list[float], column: int) -> None:
    own = suggested[suggested["share"].isin(shares) & suggested["layer"].isin(layers)]
    figure.add_trace(
        go.Scatter(
            x=[shares.index(share) for share in own["share"]],
            y=[layers.index(layer) for layer in own["layer"]],
            mode="markers",
            marker={"symbol": "square-open", "size": 16, "color": "#FFFFFF", "line": {"width": 2}},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=1,
        col=column,
    )
