"""Whose is each layer? The relevance of its channels, divided among the tasks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.label_bars import marker
from winnow.dashboard.figures.layer_counts import layer_axis, rows_height
from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels

READING = (
    "One bar per layer, from the input at the top: how the relevance of its channels divides among the tasks. Each "
    "task's total relevance counts the same. The dotted lines show where the bars would end if all tasks relied on a "
    "layer equally."
)


def layer_shares_figure(frame: pd.DataFrame, tasks: Sequence[str], looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (layer, share_<task>…) as stacked bars that all end at 100 %."""
    if frame.empty:
        return empty("The shares appear once they are measured.")
    figure = panels(height=rows_height(len(frame)))
    names = np.array([escaped(str(name)) for name in frame["layer"]], object)
    for task in tasks:
        figure.add_trace(
            go.Bar(
                y=np.arange(len(frame), dtype=np.int32),
                x=(100 * frame[f"share_{task}"]).to_numpy(np.float32),
                orientation="h",
                name=escaped(task),
                marker={**marker(task, tasks, looks), "line": {"width": 0}},
                customdata=names,
                hovertemplate=f"%{{customdata}}<br>{escaped(task)}: %{{x:.1f}} %<extra></extra>",
            )
        )
    for place in range(1, len(tasks)):
        figure.add_vline(x=100 * place / len(tasks), line={"dash": "dot", "width": 1.5, "color": NEUTRAL})
    figure.update_layout(barmode="stack", bargap=0.28, showlegend=True, legend={"traceorder": "normal"})
    figure.update_yaxes(**layer_axis(frame))
    figure.update_xaxes(title_text="relevance of the layer's channels [%]", range=[0, 100], dtick=20)
    return figure
