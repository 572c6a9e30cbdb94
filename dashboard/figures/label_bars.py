"""Which layers do the tasks share? The labels of the channels of every layer: shared, each task's own, idle, dead."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels
from winnow.engine.explain.usage import DEAD, IDLE, SHARED, all_labels

READING = (
    "One bar per layer, from the input at the top. Shared: the share of its channels that several tasks use. In a "
    "task's colour: that only this task uses. Idle: no task relies on it. Dead: of no effect on "
    "any task, because its weights are zero or because it is silent on these images."
)
PATTERNS = ("", "\\", ".", "-")  # a task's, by its marker, so that nothing is said by colour alone


def label_bars(frame: pd.DataFrame, tasks: Sequence[str], looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (layer, total, channels_<label>…) as stacked bars that all end at 100 %."""
    if frame.empty:
        return empty("The labels appear once the shares are measured.")
    figure = panels(height=rows_height(len(frame)))
    for label in all_labels(tasks):
        figure.add_trace(_bars(frame, label, marker(label, tasks, looks)))
    figure.update_layout(barmode="stack", bargap=0.28, showlegend=True, legend={"traceorder": "normal"})
    figure.update_yaxes(**layer_axis(frame))
    figure.update_xaxes(title_text="channels of the layer [%]", range=[0, 100.5], dtick=20)
    return figure


def marker(label: str, tasks: Sequence[str], looks: Mapping[str, Style]) -> dict[str, Any]:
    """Return how the bars of a label are filled."""
    if label == DEAD:
        pattern = {"shape": "/", "fgcolor": NEUTRAL, "size": 5}
        return {"color": "rgba(128,132,149,0.12)", "pattern": pattern}
    if label == IDLE:
        return {"color": "rgba(128,132,149,0.35)"}
    if label == SHARED or label not in looks:
        return {"color": NEUTRAL}
    shape = PATTERNS[list(tasks).index(label) % len(PATTERNS)]
    pattern = {"shape": shape, "fgcolor": "rgba(255,255,255,0.35)", "size": 6} if shape else {}
    return {"color": looks[label].colour, "pattern": {"fillmode": "overlay", **pattern}}


def _bars(frame: pd.DataFrame, label: str, fill: dict[str, Any]) -> go.Bar:
    names = np.array([escaped(str(name)) for name in frame["layer"]], object)
    share = (100 * frame[f"channels_{label}"] / frame["total"].clip(lower=1)).to_numpy(np.float32)
    return go.Bar(
        y=np.arange(len(frame), dtype=np.int32),
        x=share,
        orientation="h",
        name=escaped(label),
        marker={**fill, "line": {"width": 0}},
        customdata=np.column_stack([names, frame[f"channels_{label}"], frame["total"]]),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]} of %{customdata[2]} channels: "
        f"{escaped(label)} (%{{x:.1f}} %)<extra></extra>",
    )
