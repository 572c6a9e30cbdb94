"""Who leads each layer? Its channels by leading task, from the input to the heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.label_bars import marker
from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import Style, empty, escaped, panels, room_at_the_right, see_through
from winnow.engine.explain.usage import DEAD, IDLE

EVEN = {"color": "rgba(128,132,149,0.55)"}
READING = (
    "One bar per layer, from the input at the top: its channels by the task with the largest share. Full colour: the "
    "task surely has more than an equal share (lower end of its 95 % interval). Pale: it has the largest share, and "
    "some other task surely has less than an equal one. Grey: even, the intervals do not tell any two tasks apart. "
    "Then idle and dead channels. At the right: channels led / channels alive and used."
)


def lead_bars(frame: pd.DataFrame, tasks: Sequence[str], looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (layer, total, lead_<task>…, lean_<task>…, even, idle, dead) as stacked bars that end at 100 %."""
    if frame.empty:
        return empty("The leading tasks appear once the shares are measured.")
    figure = panels(height=rows_height(len(frame)))
    for task in tasks:
        figure.add_trace(_bars(frame, f"lead_{task}", f"{task} leads", marker(task, tasks, looks)))
    for task in tasks:
        pale = {"color": see_through(looks[task].colour, 0.5)}  # an opacity would not show in the legend
        figure.add_trace(_bars(frame, f"lean_{task}", f"leans to {task}", pale))
    figure.add_trace(_bars(frame, "even", "even", EVEN))
    for label in (IDLE, DEAD):
        figure.add_trace(_bars(frame, label, label, marker(label, tasks, looks)))
    counts = _counts(frame, tasks)
    figure.add_trace(counts)
    room_at_the_right(figure, counts.text)
    figure.update_layout(barmode="stack", bargap=0.28, showlegend=True, legend={"traceorder": "normal"})
    figure.update_yaxes(**layer_axis(frame))
    figure.update_xaxes(title_text="channels of the layer [%]", range=[0, 100], tickvals=[0, 20, 40, 60, 80, 100])
    return figure


def _bars(frame: pd.DataFrame, column: str, name: str, fill: dict[str, Any]) -> go.Bar:
    names = np.array([escaped(str(layer)) for layer in frame["layer"]], object)
    return go.Bar(
        y=np.arange(len(frame), dtype=np.int32),
        x=(100 * frame[column] / frame["total"].clip(lower=1)).to_numpy(np.float32),
        orientation="h",
        name=escaped(name),
        marker={**fill, "line": {"width": 0}},
        customdata=np.column_stack([names, frame[column], frame["total"]]),
        hovertemplate=f"%{{customdata[0]}}<br>%{{customdata[1]}} of %{{customdata[2]}} channels: {escaped(name)} "
        "(%{x:.1f} %)<extra></extra>",
    )


def _counts(frame: pd.DataFrame, tasks: Sequence[str]) -> go.Scatter:
    """Write behind each bar how many of the used channels are led."""
    led = frame[[f"lead_{task}" for task in tasks]].sum(axis=1)
    used = frame["total"] - frame[IDLE] - frame[DEAD]
    return go.Scatter(
        x=np.full(len(frame), 100, np.float32),
        y=np.arange(len(frame), dtype=np.int32),
        mode="text",
        text=[f"\u2002{one}/{whole}" for one, whole in zip(led, used, strict=True)],
        textposition="middle right",
        textfont={"size": 12 if len(frame) <= 32 else 10},
        hoverinfo="skip",
        showlegend=False,
    )
