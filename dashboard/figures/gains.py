"""In what is B better than A? The relative gain of each metric of the common tasks."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels
from winnow.dashboard.shared.formatting import measured

LEAST = 1.0  # % to each side, or rounding would look like a change
NOTHING = "The runs have no task in common that was judged in both."
NO_GAIN = "No metric has a value in both runs."
READING = (
    "One bar per metric of the tasks that both runs have: how much better B is than A, in per cent of A's value, "
    "whether higher or lower is better. To the right of 0 B is better. “No ratio”: the metric is R², or its value in A "
    "is close to 0; the table below has the difference. Two runs differ by chance too; several seeds show by how much."
)


def gains(frame: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (dashboard.frames.pairs.paired_metrics), one bar per metric."""
    if frame.empty:
        return empty(NOTHING, height=260)
    drawn = frame[np.isfinite(frame[["a", "b"]].astype(float)).all(axis=1)].reset_index(drop=True)
    gain = drawn["gain"].astype(float).fillna(0.0)
    if drawn.empty:
        return empty(NO_GAIN, height=260)
    figure = panels(height=100 + 30 * len(drawn))
    figure.add_trace(
        go.Bar(
            x=gain.to_numpy(np.float32),
            y=np.arange(len(drawn), dtype=np.int32),
            orientation="h",
            marker={"color": [styles[task].colour if task in styles else NEUTRAL for task in drawn["task"]]},
            text=[
                f"\u2002{measured(a, unit)} → {measured(b, unit)}{'' if np.isfinite(own) else ' (no ratio)'}\u2002"
                for a, b, unit, own in zip(
                    drawn["a"], drawn["b"], drawn["unit"], drawn["gain"].astype(float), strict=True
                )
            ],
            textposition="outside",
            textfont={"size": 12},
            cliponaxis=False,
            hovertemplate=[
                "%{x:+.2f} %<extra></extra>" if np.isfinite(own) else "no ratio<extra></extra>"
                for own in drawn["gain"].astype(float)
            ],
        )
    )
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_xaxes(title_text="gain of B over A, right is better [% of A]", range=_range(gain))
    figure.update_yaxes(
        tickvals=np.arange(len(drawn)),
        ticktext=[f"{escaped(row['task'])}: {escaped(row['label'])}" for _, row in drawn.iterrows()],
        range=[len(drawn) - 0.4, -0.6],
        showgrid=False,
    )
    return figure


def _range(gain: pd.Series) -> list[float]:
    """Return a range that holds 0, all bars, and the words behind them."""
    low, high = min(0.0, float(gain.min())), max(0.0, float(gain.max()))
    words = 0.45 * max(high - low, LEAST)
    return [low - words if low < 0 else -LEAST, high + words if high > 0 else LEAST]
