"""A figure on a page: the plot, how to read it, what it shows of which run, its data as CSV, its picture, its pin."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from winnow.dashboard.canvas.components import HERE, markup, script
from winnow.dashboard.frames.chosen import Kind, Pin, add_pin, remove_pin, report_choice
from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.frames.events import asked_of_run
from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import isolated, on_paper, plain, sentence, unescaped
from winnow.engine.runs.received import known_plain
from winnow.engine.runs.run import Run, runs_folder
from winnow.engine.runs.work_folder import WorkFolder

CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
_menu = st.components.v2.component(
    "winnow_figure_menu",
    html=markup("menu.html"),
    css=HERE.joinpath("menu.css").read_text(encoding="utf-8"),
    js=script("menu.js"),
)


@dataclass(frozen=True)
class Chart:
    """A figure and the frame that it shows."""

    figure: go.Figure
    frame: pd.DataFrame


@dataclass(frozen=True)
class DrawnFigure:
    """What is drawn above a caption: its kind, the key of its element ("": no picture can be had), what a pin keeps.

    `shown` is called when it is pinned; None: it can't be pinned.
    """

    kind: Kind = "table"
    place: str = ""
    shown: Callable[[], Mapping[str, Any]] | None = dict


PICTURES = DrawnFigure(shown=None)  # the report has pictures of its own


def draw(chart: Chart, key: str, reading: str, source: str, picked: Callable[[list[Any]], None] | None = None) -> None:
    """Draw a figure, its reading and its source, and offer its frame for download.

    Where `picked` is given, it is called with the points that were clicked, before the page is drawn again.
    """
    name = f"{key}_figure"
    alt = f"{claim_of_page()} {reading}".strip()
    if picked is None:
        st.plotly_chart(chart.figure, key=name, config=CONFIG, alt=alt)
    else:
        clicked = partial(_clicked, name, picked)
        st.plotly_chart(chart.figure, key=name, config=CONFIG, alt=alt, on_select=clicked, selection_mode="points")
    drawn = DrawnFigure("figure", name, lambda: _document(chart.figure))
    explain(lambda: chart.frame, key, reading, source, drawn)


def explain(
    frame: Callable[[], pd.DataFrame], key: str, reading: str, source: str, drawn: DrawnFigure | None = None
) -> None:
    """Write how to read what is shown above and what it was made from; the frame is made when it is downloaded."""
    with st.container(
        horizontal=True,
        vertical_alignment="top",
        horizontal_alignment="distribute",
        wrap=False,
        key=f"{key}_explained",
    ):
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
        _offer(frame, key, (on_paper(unescaped(reading)), unescaped(source)), drawn or DrawnFigure())


def claim_of_page() -> str:
    """Return the sentence that the page opened with, "" where it said none."""
    return str(st.session_state.get(address.CLAIM, ""))


def _offer(frame: Callable[[], pd.DataFrame], key: str, words: tuple[str, str], drawn: DrawnFigure) -> None:
    """Draw the menu that exports a figure and pins it to the report of what the page is about."""
    work, (reading, source) = _work(), words
    claim = claim_of_page()
    pin = Pin(key, claim, reading, source, drawn.kind, {}, "")
    pinned = _pinned(work, pin) if work is not None and drawn.shown is not None else None
    if pinned is None and not drawn.place:
        return
    name, title = f"{key}_menu", key.replace("_", " ")

    def change() -> None:
        asked_for = st.session_state[name].get("pinned")
        if work is None or drawn.shown is None or asked_for is None:
            return
        try:
            if asked_for:
                add_pin(work, Pin(key, claim, reading, source, drawn.kind, drawn.shown(), csv(frame()).decode()))
            else:
                remove_pin(work, pin.id)
        except (OSError, ValueError) as error:
            st.toast(sentence(str(error)), icon=":material/error:")

    data = {"place": drawn.place, "name": f"{work.id if work else 'winnow'}-{key}", "label": title, "pinned": pinned}
    said = {"title": claim or title, "reading": reading, "source": source}
    _menu(key=name, data={**data, **said}, width="content", on_pinned_change=change)


def _work() -> WorkFolder | None:
    """Return the run or study that the page is about, None where it is about none or that is gone."""
    about = st.session_state.get(address.ABOUT, address.RUN)
    named = address.named(about) if about else None
    if not named or "/" in named or "\\" in named or named.startswith("."):
        return None
    work = WorkFolder(runs_folder() / named)
    return work if (work.path / "spec.json").is_file() and known_plain(work.path) else None


def _pinned(work: WorkFolder, pin: Pin) -> bool | None:
    """Return whether a figure is pinned, None where what is chosen for the report can't be read."""
    try:
        return pin.id in report_choice(work).pins
    except (OSError, ValueError):
        return None


def _document(figure: go.Figure) -> dict[str, Any]:
    made = json.loads(figure.to_json())
    return {name: made[name] for name in ("data", "layout")}


def tall(rows: int, most: int = 15, height: int = 560) -> int | Literal["content"]:
    """Return how tall a table is: as its rows are, so that none is empty, and `height` [px] where it scrolls."""
    return "content" if rows <= most else height


def keyed(name: str, rows: Iterable[object]) -> str:
    """Return the key of a table whose rows are selected by their place: other rows, another key, nothing selected."""
    return f"{name}_{hashlib.sha256(repr(list(rows)).encode()).hexdigest()[:12]}"


def _clicked(name: str, picked: Callable[[list[Any]], None]) -> None:
    points = list(st.session_state[name].selection.points)
    if points:  # a click on nothing leaves the selection as it is
        picked(points)


def source(run: Run, split: str = "") -> str:
    """Return what a screenshot must carry to stay true: run, strength at the start, split and number of images."""
    facts = [plain(isolated(run.spec.name)), plain(run.id), plain(asked_of_run(run))]
    images = {"train": "training images", "val": "validation images"}.get(split)
    length = getattr(run.spec.data, f"{split}_length", None)
    if images:
        facts.append(f"{length} {images}" if length else images)
    return " · ".join(facts)
