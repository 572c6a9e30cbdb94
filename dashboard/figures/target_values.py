"""What do the targets of a task hold? The share of each class, or a histogram of the values, split by split."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import COLOURS, DASHES, empty, escaped, panels, shortened

CLASSES = (
    "One bar per class and split: its share of the known values. For labels: the share of the known labels that are "
    "present. A class that never occurs in training cannot be learned. Shares that differ between splits show a shift."
)
VALUES = (
    "One curve per split: the share of its known values in each bin. Missing values are not counted. Curves that "
    "differ show a shift between the splits."
)
BAR = 22  # px, of a class
LETTERS = 24


def class_shares(frame: pd.DataFrame) -> go.Figure:
    """Draw `frame` (class, split, count, share) as horizontal bars, the classes from the top."""
    if frame.empty:
        return empty("This task has no known values.")
    classes = list(dict.fromkeys(frame["class"]))
    figure = panels(height=110 + max(3, len(classes)) * max(BAR, 9 * frame["split"].nunique()))
    for place, (split, own) in enumerate(frame.groupby("split", sort=False)):
        figure.add_trace(
            go.Bar(
                y=[classes.index(name) for name in own["class"]],
                x=own["share"].to_numpy(np.float32),
                orientation="h",
                name=escaped(str(split)),
                marker={"color": COLOURS[place % 4], "pattern": {"shape": ("", "/", ".")[place % 3], "size": 5}},
                customdata=np.column_stack([[escaped(name) for name in own["class"]], own["count"]]),
                hovertemplate=f"{escaped(str(split))}: %{{customdata[0]}}<br>%{{x:.2f}} %, %{{customdata[1]}} entries"
                "<extra></extra>",
            )
        )
    ticks = [escaped(shortened(name, LETTERS)) for name in classes]
    figure.update_layout(barmode="group", bargap=0.25, showlegend=True)
    figure.update_yaxes(tickvals=list(range(len(classes))), ticktext=ticks, range=[len(classes) - 0.5, -0.5])
    figure.update_xaxes(title_text="share of the known values [%]", rangemode="tozero")
    return figure


def value_histogram(frame: pd.DataFrame, unit: str) -> go.Figure:
    """Draw `frame` (part, split, low, high, share), one plot for each part above another."""
    if frame.empty:
        return empty("This task has no known values.")
    parts = list(dict.fromkeys(frame["part"]))
    figure = panels(rows=len(parts), titles=parts if parts != [""] else (), height=120 + 180 * len(parts))
    for row, part in enumerate(parts, 1):
        for place, (split, own) in enumerate(frame[frame["part"] == part].groupby("split", sort=False)):
            figure.add_trace(
                go.Scatter(
                    x=np.r_[own["low"], own["high"].iloc[-1]],
                    y=np.r_[own["share"], 0.0],
                    name=escaped(str(split)),
                    legendgroup=escaped(str(split)),
                    showlegend=row == 1,
                    mode="lines",
                    line={"shape": "hv", "width": 2, "color": COLOURS[place % 4], "dash": DASHES[place % 4]},
                    hovertemplate=f"{escaped(str(split))}: from %{{x:.4g}}<br>%{{y:.2f}} %<extra></extra>",
                ),
                row,
                1,
            )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text="share [%]", rangemode="tozero")
    figure.update_xaxes(title_text="value" if unit in ("", "1") else f"value [{escaped(unit)}]", row=len(parts), col=1)
    return figure
