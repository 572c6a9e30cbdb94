"""Curves of several runs over one another: a loss or a metric of one task, or the groups alive."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from winnow.dashboard.figures.style import COLOURS, DASHES, empty, escaped, panels, shortened, xy
from winnow.dashboard.frames import events
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.frames.summaries import tasks as tasks_of
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import Chart, draw
from winnow.engine.runs.run import run_below, runs_folder

MOST = 12  # curves
READING = "One curve per run, on the validation images after each epoch. Runs differ by colour and dash."
SPARSITY = ("", "group_sparsity", "groups zero [%]")
Curve = tuple[str, str, str]  # task, quantity, title


def overlaid_curves(chosen: Sequence[Summary]) -> None:
    """Let the user choose what to draw, and draw it for all runs that have it."""
    titles = _titles(chosen)
    wanted: Curve = st.selectbox("Curves of", titles, format_func=lambda curve: curve[2], key="overlaid", width=340)
    frame = _frame(chosen[:MOST], wanted)
    about = ", ".join(plain(one.id) for one in chosen[:MOST])
    more = f" Only the first {MOST} are drawn." if len(chosen) > MOST else ""
    draw(Chart(curves(frame, wanted[2]), frame), "overlaid_curves", READING + more, about)


def curves(frame: pd.DataFrame, title: str) -> go.Figure:
    """Draw `frame` (run, id, at, value) as one curve per run."""
    if frame.empty:
        return empty("None of these runs has recorded it.")
    figure = panels(height=340)
    for place, ((name, _), own) in enumerate(frame.groupby(["run", "id"], sort=False)):
        figure.add_trace(
            go.Scatter(
                **xy(own, "value"),
                name=escaped(shortened(str(name), 40)),
                mode="lines+markers" if len(own) <= 60 else "lines",
                line={"color": COLOURS[place % 4], "dash": DASHES[place // 4 % 4], "width": 2},
                marker={"size": 5},
                hovertemplate="epoch %{x:.0f}: %{y:.4g}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text=escaped(title))
    figure.update_xaxes(title_text="epoch")
    return figure


def _titles(chosen: Sequence[Summary]) -> list[Curve]:
    known: dict[Curve, None] = {}
    for one in chosen:
        for task, metric in tasks_of(one.spec) if one.spec is not None else []:
            unit = f" [{metric.unit}]" if metric.unit not in ("", "1") else ""
            known[task, metric.name, f"{task}: {metric.label}{unit}"] = None
            known[task, "loss", f"{task}: loss"] = None
    return [*known, SPARSITY]


def _frame(chosen: Sequence[Summary], wanted: Curve) -> pd.DataFrame:
    parts = []
    for one in chosen:
        log = events.events(run_below(runs_folder(), one.id))
        task = log["task"].fillna("").astype(str)
        split = "val" if wanted[0] else "model"
        own = log[(log["split"] == split) & (log["quantity"] == wanted[1]) & (task == wanted[0])]
        parts.append(pd.DataFrame({"run": one.name, "id": one.id, "at": own["at"], "value": own["value"]}).dropna())
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run", "id", "at", "value"])
