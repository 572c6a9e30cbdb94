"""A figure as it stands on every page: the plot, how to read it, what it shows of which run, and its data as CSV."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard.frames.sheet import csv
from dashboard.views.drawings import Drawing
from dashboard.words import asked, plain
from engine.runs import Run

CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def draw(drawing: Drawing, key: str, reading: str, source: str) -> None:
    """Draw a figure, its reading and its source, and offer its frame for download."""
    st.plotly_chart(drawing.figure, key=f"{key}_figure", config=CONFIG, alt=reading)
    explain(lambda: drawing.frame, key, reading, source)


def explain(frame: Callable[[], pd.DataFrame], key: str, reading: str, source: str) -> None:
    """Write how to read what stands above and what it was made from; the frame is made when it is downloaded."""
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


def source(run: Run, split: str = "") -> str:
    """Return what a screenshot must carry to stay true: run, strength at the start, split and number of images."""
    facts = [plain(run.spec.name), plain(run.id), plain(asked(run.spec.penalty))]
    images = {"train": "training images", "val": "validation images"}.get(split)
    length = getattr(run.spec.data, f"{split}_length", None)
    if images:
        facts.append(f"{length} {images}" if length else images)
    return " · ".join(facts)
