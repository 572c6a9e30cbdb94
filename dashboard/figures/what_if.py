"""What if more went? Each task's metric against what would be removed, one small chart per task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, of_all, panels

MOST_TASKS = 4
OF = {"groups": "channels", "parameters": "parameters", "macs": "MACs"}
READING = (
    "One chart per task: its main metric on the validation images if this much were removed at once, without a "
    "refit. Dots are measured; the dotted lines only join them. Dashed: the dense network. Vertical: what this "
    "pruning removed."
)


@dataclass(frozen=True)
class Place:
    """Along what the sweep is drawn (groups, parameters or macs), and where this pruning stands on it [%]."""

    of: str = "macs"
    here: float | None = None


def what_if(frame: pd.DataFrame, styles: Mapping[str, Style], place: Place) -> go.Figure:
    """Draw `frame` (dashboard.frames.what_if.what_if_points), the first four tasks of it, which is said."""
    every = list(dict.fromkeys(frame["task"]))
    named = every[:MOST_TASKS]
    if not named:
        return empty("The sweep comes with the criteria norm and relevance.")
    figure = panels(1, len(named), _titles(frame, named), height=320)
    for column, task in enumerate(named, 1):
        own = frame[frame["task"] == task]
        figure.add_trace(_curve(own, styles.get(task), place), row=1, col=column)
        level = float(own["value"].iloc[0])
        figure.add_hline(y=level, line={"dash": "dash", "width": 1.5, "color": NEUTRAL}, row=1, col=column)
        unit = own["unit"].iloc[0]
        figure.update_yaxes(title_text=f"[{escaped(unit)}]" if unit else "", title_standoff=4, row=1, col=column)
    if place.here is not None:
        figure.add_vline(x=place.here, line={"dash": "dot", "width": 2, "color": NEUTRAL})
    low, high = float(frame[place.of].min()), float(frame[place.of].max())
    margin = 0.05 * max(high - low, 1.0)
    figure.update_xaxes(title_text=f"{OF[place.of]} removed [%]", range=[low - margin, high + margin])
    if part := of_all(len(named), len(every), "tasks"):
        figure.update_xaxes(title_text=f"{OF[place.of]} removed [%]{part}", col=1)
    return figure


def _titles(frame: pd.DataFrame, named: list[str]) -> list[str]:
    first = frame.drop_duplicates("task").set_index("task")
    arrows = {"higher": "↑", "lower": "↓"}
    return [f"{task}: {first['label'][task]} {arrows[str(first['better'][task])]}" for task in named]


def _curve(own: pd.DataFrame, style: Style | None, place: Place) -> go.Scatter:
    colour, symbol = (style.colour, style.marker) if style else (NEUTRAL, "circle")
    thresholds = ["nothing but zeros" if np.isneginf(value) else f"{value:.3g}" for value in own["threshold"]]
    rest = own[["groups", "parameters", "macs"]].round(1).to_numpy(object)
    return go.Scatter(
        x=own[place.of].to_numpy(np.float32),
        y=own["value"].to_numpy(float),  # as the dashed line: a rounded one would seem to be elsewhere
        mode="lines+markers",
        name=escaped(str(own["task"].iloc[0])),
        line={"color": colour, "width": 1.5, "dash": "dot"},
        marker={"color": colour, "symbol": symbol, "size": 9},
        customdata=np.column_stack([np.array(thresholds, object), rest]),
        hovertemplate="%{y:.4g}<br>%{customdata[1]} % of the channels, %{customdata[2]} % of the parameters, "
        "%{customdata[3]} % of the MACs<br>up to score %{customdata[0]}<extra></extra>",
    )
