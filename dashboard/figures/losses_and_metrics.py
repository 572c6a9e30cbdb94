"""Is each task learning? Its loss above, the metric that stands for it below; one column per task."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.figures.style import NEUTRAL, Style, empty, escaped, middled, of_all, panels, xy
from winnow.engine.runs.quantities import Metric

HALF = 0.6  # of the height: below it are the titles of the second row
LETTERS_ABOVE = 72  # of the names of all tasks together, above their plots
MOST_TASKS = 6  # two plots each: twelve plots are what a page can draw
READING = (
    "Top: loss on the training images (thin) and on the validation images (bold, marked). Bottom, where it is "
    "recorded: validation metric; the dashed line is the best prediction that ignores the image."
)


def losses_and_metrics(
    frame: pd.DataFrame, tasks: Sequence[tuple[str, Metric]], styles: Mapping[str, Style]
) -> go.Figure:
    """Draw `frame` (at, task, split, quantity, value) as two rows of small multiples.

    The first `MOST_TASKS` tasks are drawn, which is said; the frame's download holds the others.
    """
    drawn = list(tasks)[:MOST_TASKS]
    if frame.empty or not drawn:
        return empty("The first loss is recorded a tenth into the first epoch.")
    rows = 2 if any(_has(frame, task, metric) for task, metric in drawn) else 1
    below = [_title(metric) for _, metric in drawn][: len(drawn) * (rows - 1)]
    names = _names([task for task, _ in drawn])
    figure = panels(rows, len(drawn), [*names, *below], height=240 * rows)
    if part := of_all(len(drawn), len(tasks), "tasks"):
        text = part.removeprefix("<br>")
        place = {"x": 0, "xref": "paper", "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 4}}
        figure.update_layout(title={"text": text, "font": {"size": 12}, **place}, margin={"t": 64})
    figure.update_annotations(font={"size": 12}, selector=lambda note: note.y < HALF)
    for column, (task, metric) in enumerate(drawn, start=1):
        own = frame[frame["task"] == task]
        figure.add_traces(_losses(own, task, styles[task]), rows=1, cols=column)
        if rows == 2:
            figure.add_traces(_metrics(own, task, metric, styles[task]), rows=2, cols=column)
        figure.update_xaxes(rangemode="nonnegative", title_text="epoch", row=rows, col=column)
    figure.update_yaxes(title_text="loss", row=1, col=1).update_yaxes(rangemode="tozero", row=1)
    return figure


def _has(frame: pd.DataFrame, task: str, metric: Metric) -> bool:
    """Whether there is anything to draw of a metric: a loop of the user's own may record losses alone."""
    own = frame[(frame["task"] == task) & (frame["quantity"] == metric.name)]
    return bool(own["split"].isin(("val", "constant")).any())


def _names(tasks: Sequence[str]) -> list[str]:
    """Return names that fit above the plots; they are numbered where two of them would be the same."""
    length = max(12, LETTERS_ABOVE // len(tasks))
    cut = [middled(task, length) for task in tasks]
    if len(set(cut)) == len(cut):
        return cut
    return [f"{place}: {middled(task, length - 3)}" for place, task in enumerate(tasks, start=1)]


def _title(metric: Metric) -> str:
    unit = "" if metric.unit in ("", "1") else f" [{metric.unit}]"
    return f"{metric.label}{unit} {'↑' if metric.better == 'higher' else '↓'}"


def _losses(own: pd.DataFrame, task: str, style: Style) -> list[go.Scatter]:
    losses = own[own["quantity"] == "loss"]
    train, val = losses[losses["split"] == "train"], losses[losses["split"] == "val"]
    return [
        go.Scatter(
            **xy(train, "value"),
            name=f"{escaped(task)}, train",
            mode="lines",
            line={"color": style.colour, "width": 1},
            opacity=0.65,
            hovertemplate=f"{escaped(task)}<br>epoch %{{x:.1f}}<br>train loss %{{y:.4g}}<extra></extra>",
        ),
        _marked(val, f"{escaped(task)}, val", style, _hover(task, "val loss %{y:.4g}")),
    ]


def _metrics(own: pd.DataFrame, task: str, metric: Metric, style: Style) -> list[go.Scatter]:
    values = own[(own["split"] == "val") & (own["quantity"] == metric.name)]
    hover = _hover(task, f"{escaped(metric.label)} %{{y:.4g}} {escaped(metric.unit)}")
    return [*_constant(own, task, metric), _marked(values, f"{escaped(task)}, {escaped(metric.label)}", style, hover)]


def _hover(task: str, value: str) -> str:
    """Name the whole task, as its title may be cut."""
    return f"{escaped(task)}<br>epoch %{{x:.0f}}<br>{value}<extra></extra>"


def _marked(frame: pd.DataFrame, name: str, style: Style, hover: str) -> go.Scatter:
    """Return a bold curve; each point has its marker as long as they stay apart."""
    return go.Scatter(
        **xy(frame, "value"),
        name=name,
        mode="lines+markers" if len(frame) <= 60 else "lines",
        line={"color": style.colour, "width": 2.5, "dash": style.dash},
        marker={"symbol": style.marker, "size": 6},
        cliponaxis=len(frame) > 1,  # the first point lies on the axis, which would hide half of it
        hovertemplate=hover,
    )


def _constant(own: pd.DataFrame, task: str, metric: Metric) -> list[go.Scatter]:
    """Return the level of the constant prediction, named at its right end; nothing where it is not recorded."""
    level = own.loc[(own["split"] == "constant") & (own["quantity"] == metric.name), "value"].dropna()
    moments = own.loc[own["split"] != "constant", "at"]
    found = own.loc[(own["split"] == "val") & (own["quantity"] == metric.name), "value"]
    if level.empty or moments.empty:
        return []
    return [
        go.Scatter(
            x=np.array([moments.min(), moments.max()], np.float32),
            y=np.full(2, level.iloc[-1], np.float32),
            name="constant prediction",
            mode="lines+text",
            text=["", "constant"],
            textposition="bottom left" if level.iloc[-1] >= found.max() else "top left",  # within the plot
            textfont={"color": NEUTRAL},
            line={"dash": "dash", "width": 1.5, "color": NEUTRAL},
            hovertemplate=f"{escaped(task)}<br>constant prediction: %{{y:.4g}}<extra></extra>",
        )
    ]
