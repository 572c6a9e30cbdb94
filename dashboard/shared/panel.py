"""A figure on a page: the plot, how to read it, what it shows of which run, and its data as CSV."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.shared.formatting import asked, plain
from winnow.engine.runs.run import Run

CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


@dataclass(frozen=True)
class Chart:
    """A figure and the frame that it shows."""

    figure: go.Figure
    frame: pd.DataFrame


def draw(chart: Chart, key: str, reading: str, source: str, picked: Callable[[list[Any]], None] | None = None) -> None:
    """Draw a figure, its reading and its source, and offer its frame for download.

    Where `picked` is given, it is called with the points that were clicked, before the page is drawn again.
    """
    name = f"{key}_figure"
    if picked is None:
        st.plotly_chart(chart.figure, key=name, config=CONFIG, alt=reading)
    else:
        clicked = partial(_clicked, name, picked)
        st.plotly_chart(chart.figure, key=name, config=CONFIG, alt=reading, on_select=clicked, selection_mode="points")
    explain(lambda: chart.frame, key, reading, source)


def explain(frame: Callable[[], pd.DataFrame], key: str, reading: str, source: str) -> None:
    """Write how to read what is shown above and what it was made from; the frame is made when it is downloaded."""
    with st.container(horizontal=True, vertical_alignment="top", horizontal_alignment="distribute", wrap=False):
        st.caption(f"{reading}  \n{source}", width="stretch")
        st.download_button(
            "CSV",
            data=lambda: csv(frame()),
            file_name=f"{key}.csv",
            mime="text/csv",
            key=f"{key}_csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help="The numbers of this figure",
        )


def keyed(name: str, rows: Iterable[object]) -> str:
    """Return the key of a table whose rows are selected by their place: other rows, another key, nothing selected."""
    return f"{name}_{hashlib.sha256(repr(list(rows)).encode()).hexdigest()[:12]}"


def _clicked(name: str, picked: Callable[[list[Any]], None]) -> None:
    points = list(st.session_state[name].selection.points)
    if points:  # a click on nothing leaves the selection as it is
        picked(points)


def source(run: Run, split: str = "") -> str:
    """Return what a screenshot must carry to stay true: run, strength at the start, split and number of images."""
    facts = [plain(run.spec.name), plain(run.id), plain(asked(run.spec.penalty))]
    images = {"train": "training images", "val": "validation images"}.get(split)
    length = getattr(run.spec.data, f"{split}_length", None)
    if images:
        facts.append(f"{length} {images}" if length else images)
    return " · ".join(facts)
