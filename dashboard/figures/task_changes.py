"""What does it cost each task? The change of its main metric, after the removal, a repair and a refit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, panels
from winnow.dashboard.frames.before_after import STAGES
from winnow.dashboard.shared.formatting import measured

LEAST = 1.0  # % to each side, or rounding would look like a change
READING = (
    "Per task: the change of its main metric on the validation images, as a share of the dense network's value. To the "
    "right of 0 is better. Solid: the network that is kept. Hatched: before its refit or repair."
)


def task_changes(frame: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (dashboard.frames.before_after.task_change_frame) as bars around 0."""
    drawn = frame[frame["pruned_change"].notna()].reset_index(drop=True)
    if drawn.empty:
        return empty("The tasks are judged once the smaller network is there.")
    stages = [stage for stage in STAGES if drawn[f"{stage}_change"].notna().any()]
    figure = panels(height=90 + (24 + 14 * len(stages)) * len(drawn))
    for stage in stages:
        figure.add_trace(_bars(drawn, stage, styles, hatched=stage != stages[-1]))
    figure.add_vline(x=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_yaxes(
        tickvals=np.arange(len(drawn)),
        ticktext=[f"{escaped(row['task'])}<br>{escaped(row['label'])}" for _, row in drawn.iterrows()],
        range=[len(drawn) - 0.45, -0.55],
        showgrid=False,
    )
    figure.update_xaxes(title_text="change, right is better [% of dense]", range=_range(drawn))
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.12, margin={"t": 12})
    return figure


def _range(drawn: pd.DataFrame) -> list[float]:
    """Return a range that holds 0, all bars, and the words behind them."""
    values = drawn[[f"{stage}_change" for stage in STAGES]].to_numpy(float)
    low, high = min(0.0, float(np.nanmin(values))), max(0.0, float(np.nanmax(values)))
    words = 0.6 * max(high - low, LEAST)
    return [low - (words if low < 0 else 0.2 * words), high + words]


def _bars(drawn: pd.DataFrame, model: str, styles: Mapping[str, Style], hatched: bool) -> go.Bar:
    colours = [styles[task].colour if task in styles else NEUTRAL for task in drawn["task"]]
    look = {"color": "rgba(128,132,149,0.12)", "pattern": {"shape": "/", "fgcolor": colours, "size": 5}}
    values = drawn[f"{model}_change"].to_numpy(np.float32)
    before = [measured(row["dense"], row["unit"]) for _, row in drawn.iterrows()]
    after = [measured(row[model], row["unit"]) for _, row in drawn.iterrows()]
    return go.Bar(
        x=values,
        y=np.arange(len(drawn), dtype=np.int32),
        orientation="h",
        name=model,
        marker={**(look if hatched else {"color": colours}), "line": {"width": 0}},
        text=[f"{one} → {other}" for one, other in zip(before, after, strict=True)],
        textposition="outside",
        textfont={"size": 12},
        cliponaxis=False,
        customdata=np.array([escaped(task) for task in drawn["task"]], object),
        hovertemplate=f"%{{customdata}}, {model}<br>%{{text}}<br>%{{x:+.2f}} %<extra></extra>",
    )
