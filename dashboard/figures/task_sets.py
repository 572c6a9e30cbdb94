"""How many channels do exactly these tasks use, and no other? An UpSet plot (Lex et al. 2014)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, of_all, panels
from winnow.engine.explain.usage import JOIN

MOST_SETS = 20
READING = (
    "One column per set of tasks: its bar counts the channels that exactly the tasks with a filled dot use. The "
    "largest set is on the left."
)


def task_sets(frame: pd.DataFrame, tasks: Sequence[str], looks: Mapping[str, Style]) -> go.Figure:
    """Draw `frame` (tasks, size, channels), the largest set first."""
    if frame.empty or not frame["channels"].any():
        return empty("No task uses a channel here.", height=300)
    known = frame[frame["channels"] > 0]
    drawn = known.head(MOST_SETS)
    figure = panels(2, 1, height=300 + 26 * len(tasks))
    columns = np.arange(len(drawn), dtype=np.float32)
    figure.add_trace(_bars(drawn, columns, looks), row=1, col=1)
    for row, task in enumerate(tasks):
        inside = np.array([task in str(members).split(JOIN) for members in drawn["tasks"]])
        figure.add_trace(_dots(columns, row, task, (inside, looks[task])), row=2, col=1)
    share = 26 * len(tasks) / (300 + 26 * len(tasks)) + 0.08
    figure.update_yaxes(title_text="channels [1]", rangemode="tozero", domain=[share + 0.03, 1], row=1, col=1)
    figure.update_yaxes(
        tickvals=np.arange(len(tasks)),
        ticktext=[escaped(task) for task in tasks],
        range=[len(tasks) - 0.5, -0.5],
        showgrid=False,
        domain=[0, share],
        row=2,
        col=1,
    )
    figure.update_xaxes(showticklabels=False, showgrid=False, range=[-0.6, max(len(drawn), 4) - 0.4])
    figure.update_xaxes(title_text=f"sets of tasks{of_all(len(drawn), len(known), 'sets, the largest')}", row=2, col=1)
    return figure


def _bars(drawn: pd.DataFrame, columns: np.ndarray, looks: Mapping[str, Style]) -> go.Bar:
    colours = [looks[name].colour if name in looks else NEUTRAL for name in drawn["tasks"]]
    names = np.array([escaped(str(name).replace(JOIN, " + ")) for name in drawn["tasks"]], object)
    return go.Bar(
        x=columns,
        y=drawn["channels"].to_numpy(np.int32),
        width=0.6,
        marker={"color": colours, "line": {"width": 0}},
        text=drawn["channels"].to_numpy(np.int32),
        textposition="outside",
        cliponaxis=False,
        customdata=names,
        hovertemplate="%{customdata}<br>%{y} channels<extra></extra>",
        name="channels",
    )


def _dots(columns: np.ndarray, row: int, task: str, of: tuple[np.ndarray, Style]) -> go.Scatter:
    inside, look = of
    return go.Scatter(
        x=columns,
        y=np.full(len(columns), row, np.float32),
        mode="markers",
        name=escaped(task),
        marker={
            "size": 13,
            "symbol": look.marker,
            "color": [look.colour if chosen else "rgba(128,132,149,0.25)" for chosen in inside],
            "line": {"width": 0},
        },
        hoverinfo="skip",
    )
