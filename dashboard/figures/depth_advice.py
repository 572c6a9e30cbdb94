"""How deep does each task need the trunk? The living share of every layer, task by task, and the layer that decides."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import CIVIDIS, NEUTRAL, empty, escaped, panels
from winnow.dashboard.frames.answers.answer import percent

DECIDES = "#E8447A"
READING = (
    "One row per task, one column per layer of the trunk, from the input at the left; dotted lines separate the "
    "stages. Colour: the mean share of the layer's channels that are alive in its sparse runs. A cross: the layer is "
    "not alive in every seed. The frame: the deepest layer that is alive in every seed; the head of the task is "
    "attached to its stage."
)


def depth_advice(frame: pd.DataFrame, tasks: Sequence[str]) -> go.Figure:
    """Draw the table `depth` of a tailoring (engine.studies.depth_advice) as tiles, tasks by layers."""
    known = [task for task in tasks if (frame["task"] == task).any()]
    if not known:
        return empty("The advice appears once a sparse run of a single task has ended.")
    layers = frame.sort_values("place", kind="stable").drop_duplicates("layer")
    place = {str(layer): at for at, layer in enumerate(layers["layer"])}
    board = np.full((len(known), len(place)), np.nan, np.float32)
    said = np.full(board.shape, "", object)
    crosses: tuple[list[int], list[int]] = ([], [])
    figure = panels(height=150 + 44 * max(len(known), 2))
    for _, row in frame[frame["task"].isin(known)].iterrows():
        across, down = place[str(row["layer"])], known.index(str(row["task"]))
        board[down, across], said[down, across] = 100 * row["living"], _said(row)
        if row["alive"] < row["seeds"]:
            crosses[0].append(across)
            crosses[1].append(down)
        if row["deepest"]:
            box = {"x0": across - 0.5, "x1": across + 0.5, "y0": down - 0.5, "y1": down + 0.5}
            figure.add_shape(type="rect", line={"color": DECIDES, "width": 3}, **box)
    bar = {"title": {"text": "living channels [%]", "side": "right"}, "thickness": 12, "outlinewidth": 0}
    look = {"zmin": 0, "zmax": 100, "colorscale": list(CIVIDIS), "colorbar": bar, "xgap": 1, "ygap": 3}
    hover = "%{customdata}<extra></extra>"
    figure.add_trace(go.Heatmap(z=board, customdata=said, hovertemplate=hover, **look))
    cross = {"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": "#ffffff"}}
    figure.add_trace(go.Scatter(x=crosses[0], y=crosses[1], mode="markers", marker=cross, hoverinfo="skip"))
    figure.update_xaxes(title_text="stage", showgrid=False, **_stages(figure, layers["stage"].to_numpy(int)))
    ticks = {"tickvals": list(range(len(known))), "ticktext": [escaped(task) for task in known]}
    figure.update_yaxes(range=[len(known) - 0.5, -0.5], showgrid=False, **ticks)
    return figure


def _said(row: pd.Series) -> str:
    """Say what is known about a layer for a task."""
    low, high, seeds = float(str(row["alive_low"])), float(str(row["alive_high"])), int(float(str(row["seeds"])))
    share = f" (95 % interval: {percent(100 * low)} to {percent(100 * high)})" if seeds > 1 else ""
    living = f"{percent(100 * float(str(row['living'])))} of its channels live"
    ends = [percent(100 * float(str(row[name]))) for name in ("living_low", "living_high")]
    spread = f", {' to '.join(ends)} over seeds"
    return (
        f"{escaped(str(row['layer']))} · {row['role']}, stage {row['stage']}<br>{escaped(str(row['task']))}: alive in "
        f"{row['alive']} of {seeds} seed{'s' if seeds > 1 else ''}{share}<br>{living}{spread if seeds > 1 else ''}"
    )


def _stages(figure: go.Figure, stages: np.ndarray) -> dict[str, object]:
    """Draw a line where a stage begins; return an axis that names the stages in their middle."""
    starts = [at for at in range(1, len(stages)) if stages[at] != stages[at - 1]]
    for at in starts:
        figure.add_vline(x=at - 0.5, line={"dash": "dot", "width": 1.5, "color": NEUTRAL})
    parts = [0, *starts, len(stages)]
    middles = [(low + high - 1) / 2 for low, high in pairwise(parts)]
    names = [str(stages[low]) for low in parts[:-1]]
    return {"tickvals": middles, "ticktext": names, "range": [-0.5, len(stages) - 0.5]}
