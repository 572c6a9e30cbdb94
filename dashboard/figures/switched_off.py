"""What becomes of every task when one channel is switched off? The rise of each loss, in parts of itself."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels

READING = (
    "The measured rise of each task's loss, in per cent of the loss with the channel on. To the right: the task "
    "needs the channel. To the left: the task is better without it. Near 0: it makes no difference."
)


def switched_off(frame: pd.DataFrame, looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (task, loss, loss_change) as one bar per task, to either side of 0."""
    if frame.empty:
        return empty("This channel has not been switched off yet.", height=120, narrow=True)
    figure = panels(height=80 + 34 * len(frame))
    rise = relative(frame)
    figure.add_trace(
        go.Bar(
            y=np.arange(len(frame), dtype=np.int32),
            x=rise.astype(np.float32),
            orientation="h",
            name="rise of the loss",
            marker={"color": [looks[str(task)].colour for task in frame["task"]], "line": {"width": 0}},
            text=[f"{value:+.2g} %" for value in rise],
            textposition="outside",
            cliponaxis=False,
            customdata=frame[["loss_change", "loss"]].round(6).to_numpy(),
            hovertemplate="loss %{customdata[1]:.4g}, changed by %{customdata[0]:+.3g}<extra></extra>",
        )
    )
    widest = max(float(np.nanmax(np.abs(rise))), 1e-3)
    figure.update_layout(bargap=0.35, margin={"t": 8})
    figure.update_yaxes(
        tickvals=np.arange(len(frame)),
        ticktext=[escaped(str(task)) for task in frame["task"]],
        range=[len(frame) - 0.4, -0.6],
        showgrid=False,
    )
    low = -1.35 * widest if (rise < -0.02 * widest).any() else -0.25 * widest
    figure.update_xaxes(title_text="rise of the loss [%]", range=[low, 1.35 * widest])
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    return figure


def relative(frame: pd.DataFrame) -> np.ndarray:
    """Return the rise of each loss in per cent of the loss before."""
    before = (frame["loss"] - frame["loss_change"]).abs().clip(lower=1e-12)
    return (100 * frame["loss_change"] / before).to_numpy(float)
