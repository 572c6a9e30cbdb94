"""Who uses one channel? The part of each task's relevance that it has, with its interval."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels
from winnow.dashboard.frames.answers.answer import percent

READING = (
    "Share of each task's total relevance that falls on this channel, with the 95 % interval over images. In "
    "brackets: the task's share of the channel."
)


def channel_use(frame: pd.DataFrame, looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (task, part, low, high, share) as one bar per task."""
    if frame.empty or not frame["part"].any():
        return empty("No task relies on this channel: its relevance is exactly 0.", height=120, narrow=True)
    figure = panels(height=80 + 34 * len(frame))
    figure.add_trace(
        go.Bar(
            y=np.arange(len(frame), dtype=np.int32),
            x=frame["part"].to_numpy(np.float32),
            orientation="h",
            name="part",
            marker={"color": [looks[str(task)].colour for task in frame["task"]], "opacity": 0.7, "line": {"width": 0}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (frame["high"] - frame["part"]).to_numpy(np.float32),
                "arrayminus": (frame["part"] - frame["low"]).to_numpy(np.float32),
                "color": NEUTRAL,
                "thickness": 2,
                "width": 4,
            },
            hovertemplate="%{x:.3g} % of the task's relevance<extra></extra>",
        )
    )
    words = [
        f"{escaped(str(task))}{_share(share)}"
        for task, share in zip(frame["task"], frame["share"].astype(float), strict=True)
    ]
    figure.update_layout(bargap=0.35, margin={"t": 8})
    figure.update_yaxes(tickvals=np.arange(len(frame)), ticktext=words, range=[len(frame) - 0.4, -0.6], showgrid=False)
    figure.update_xaxes(title_text="share of the task's relevance [%]", rangemode="tozero")
    return figure


def _share(share: float) -> str:
    return "" if np.isnan(share) else f" ({percent(100 * share)})"
