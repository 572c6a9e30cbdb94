"""Do the tasks pull the shared features the same way? The cosine between each two task gradients, and their weights."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, of_all, panels, xy

MOST_PAIRS = 10
STRETCHES = 40  # of the epochs drawn: single steps are too noisy to be compared
CONFLICT_READING = (
    "One curve per pair of tasks: the cosine between their gradients at the shared features. Above 0: a step for one "
    "task helps the other. Below 0: the tasks pull the shared features in opposite directions. Near 0: they need "
    "different features. Where there are many records, a point is the mean of several."
)
WEIGHTS_READING = "How much each task's gradient counts in the shared part of the network, relative to the others."


def task_conflict(frame: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (at, task, other, cosine); of many pairs, those that conflict most.

    A line has the colour of one task, its markers that of the other.
    """
    if frame.empty:
        return empty("The conflict is recorded every few steps, where a run has two tasks or more.", height=340)
    figure = panels(height=340)
    means = frame.groupby(["task", "other"], sort=False)["cosine"].mean()
    pairs = means.nsmallest(MOST_PAIRS).index
    for task, other in pairs:
        own = frame[(frame["task"] == task) & (frame["other"] == other)]
        figure.add_trace(_pair(own, (task, other), styles))
    figure.update_layout(showlegend=True)
    figure.add_hline(y=0, line={"width": 1.5, "color": NEUTRAL})
    figure.update_yaxes(title_text="cosine [1]", range=[-1.05, 1.05], dtick=0.5)
    part = of_all(len(pairs), len(means), "pairs, those that conflict most")
    figure.update_xaxes(rangemode="nonnegative", title_text=f"epoch{part}")
    return figure


def task_weights(frame: pd.DataFrame, styles: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (at, task, weight) as one curve per task."""
    figure = panels(height=300)
    for task, own in frame.groupby("task", sort=False):
        style = styles[str(task)]
        figure.add_trace(
            go.Scatter(
                **xy(own, "weight"),
                name=escaped(str(task)),
                mode="lines",
                line={"color": style.colour, "width": 2, "dash": style.dash},
                hovertemplate=f"{escaped(str(task))}<br>epoch %{{x:.1f}}<br>weight %{{y:.3g}}<extra></extra>",
            )
        )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text="weight of the task [1]", rangemode="tozero")
    figure.update_xaxes(rangemode="nonnegative", title_text="epoch")
    return figure


def averaged(own: pd.DataFrame, stretches: int = STRETCHES) -> pd.DataFrame:
    """Return the mean moment and cosine of each of some equally long stretches of rows; few rows as they are."""
    if len(own) <= stretches:
        return own[["at", "cosine"]]
    stretch = np.arange(len(own)) * stretches // len(own)
    return own[["at", "cosine"]].groupby(stretch).mean()


def _pair(own: pd.DataFrame, pair: tuple[str, str], styles: Mapping[str, Style]) -> go.Scatter:
    one, other = styles[pair[0]], styles[pair[1]]
    name = f"{escaped(pair[0])} – {escaped(pair[1])}"
    return go.Scatter(
        **xy(averaged(own), "cosine"),
        name=name,
        mode="lines+markers",
        line={"color": one.colour, "width": 2, "dash": other.dash},
        marker={"color": other.colour, "symbol": other.marker, "size": 7},
        hovertemplate=f"{name}<br>epoch %{{x:.1f}}<br>cosine %{{y:.2f}}<extra></extra>",
    )
