"""Which shared channels does each head read at all? Columns of its weights that are exactly zero are certain."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.layer_counts import LOOKS
from winnow.dashboard.figures.style import Style, empty, escaped, panels, shortened

READING = (
    "One bar per layer of a head that reads the trunk: the channels that it reads, and those whose column is exactly "
    "zero, so that the task cannot use them. A penalty on the trunk alone zeroes no column of the heads."
)


def head_use(frame: pd.DataFrame, looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (task, layer, channels, ignored) as stacked bars."""
    if frame.empty:
        return empty(
            "The network could not be traced, so it is not known which columns of the heads are zero.", height=200
        )
    figure = panels(height=90 + 34 * len(frame))
    rows = np.arange(len(frame), dtype=np.int32)
    read = (frame["channels"] - frame["ignored"]).to_numpy(np.int32)
    colours = [looks[str(task)].colour for task in frame["task"]]
    figure.add_trace(_bars(rows, read, "read", {"color": colours}))
    figure.add_trace(_bars(rows, frame["ignored"].to_numpy(np.int32), "exactly zero", LOOKS["dead"]))
    figure.update_layout(barmode="stack", bargap=0.3, margin={"t": 8})
    names = [f"{escaped(str(row.task))}: {escaped(shortened(str(row.layer), 34))}" for row in frame.itertuples()]
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(frame) - 0.4, -0.6], showgrid=False)
    figure.update_xaxes(title_text="shared channels [1]")
    return figure


def _bars(rows: np.ndarray, counts: np.ndarray, name: str, marker: dict[str, object]) -> go.Bar:
    return go.Bar(
        y=rows,
        x=counts,
        orientation="h",
        name=name,
        marker={**marker, "line": {"width": 0}},
        text=[f"{count} {name}" if count else "" for count in counts],
        textposition="inside",
        insidetextanchor="middle",
        hovertemplate=f"%{{x}} channels {name}<extra></extra>",
    )
