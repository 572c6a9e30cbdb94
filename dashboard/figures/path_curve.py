"""What does sparsity cost over all tasks? The skill of the points of a path, with elbow and one-standard-error mark."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, NEUTRAL, empty, escaped, panels

READING = (
    "One dot per point of the path: the share of the groups that is exactly zero, and the skill, from 0 for the "
    "constant prediction to 1 for a perfect one, mean over tasks, with its standard error over seeds. Elbow: the dot "
    "farthest above the straight line between the ends. One standard error: the sparsest dot within one standard "
    "error of the best, with several seeds."
)
MARKS = {"elbow": ("elbow", "diamond-open"), "one_standard_error": ("one standard error", "square-open")}


def path_curve(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (group_sparsity, skill, skill_error, label, elbow, one_standard_error), one row per point."""
    if frame.empty:
        return empty("The curve begins with the first run that has ended.", height=380)
    drawn = frame.sort_values("group_sparsity", kind="stable")
    figure = panels(height=400)
    figure.add_trace(
        go.Scatter(
            x=drawn["group_sparsity"].to_numpy(np.float32),
            y=drawn["skill"].to_numpy(np.float32),
            error_y={"type": "data", "array": drawn["skill_error"].fillna(0).to_numpy(np.float32), "width": 4},
            mode="lines+markers",
            name="points",
            line={"color": COLOURS[0], "width": 1.5, "dash": "dot"},
            marker={"size": 9},
            customdata=[escaped(str(label)) for label in drawn["label"]],
            hovertemplate="%{customdata}<br>%{x:.1f} % of the groups zero<br>skill %{y:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    for column, (name, symbol) in MARKS.items():
        own = drawn[drawn[column].astype(bool)]
        if len(own):
            figure.add_trace(_mark(own, name, symbol))
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text="groups exactly zero [%]", range=[-3, 103])
    figure.update_yaxes(title_text="skill over all tasks [1]")
    return figure


def _mark(own: pd.DataFrame, name: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=own["group_sparsity"].to_numpy(np.float32),
        y=own["skill"].to_numpy(np.float32),
        mode="markers",
        name=name,
        marker={
            "symbol": symbol,
            "size": 19 if symbol.startswith("square") else 22,
            "line": {"width": 2},
            "color": NEUTRAL,
        },
        hoverinfo="skip",
    )
