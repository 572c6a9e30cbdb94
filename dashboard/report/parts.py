"""What a report consists of: chapters, each about one run or study, of sections headed by a claim."""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from PIL import Image

from winnow.dashboard.figures.pictures import Picture
from winnow.dashboard.shared.panel import Chart
from winnow.engine.explain.checks.badges import Colour


@dataclass(frozen=True)
class Figure:
    """A figure: its name in the files, what it shows, how to read it; what it says, if not what its section does."""

    key: str
    chart: Chart
    reading: str
    claim: str = ""

    @property
    def frame(self) -> pd.DataFrame:
        """Its numbers."""
        return self.chart.frame


@dataclass(frozen=True)
class ReportMaps:
    """Maps of layers × channels that a slider replays: their name, their numbers, what canvas/report.js draws."""

    key: str
    frame: pd.DataFrame
    reading: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """Some pictures about one thing: what that is, what is known of it, the pictures with their captions."""

    title: str
    facts: str
    pictures: Sequence[tuple[str, Picture]]


@dataclass(frozen=True)
class Cards:
    """Pictures in groups: their name in the files, the numbers behind them, how to read them."""

    key: str
    frame: pd.DataFrame
    reading: str
    cards: Sequence[Card]


@dataclass(frozen=True)
class ReportTable:
    """A table: its name in the files, its frame, how to read it.

    `titles`: the columns that the page shows, by what it calls them; empty for all, by their names.
    """

    key: str
    frame: pd.DataFrame
    reading: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def titled(self) -> pd.DataFrame:
        """The frame as the page shows it."""
        return self.frame[list(self.titles)].rename(columns=dict(self.titles)) if self.titles else self.frame


Shown = Figure | ReportTable | ReportMaps | Cards


@dataclass(frozen=True)
class Badge:
    """Whether a claim holds, in a word, and its colour."""

    word: str
    colour: Colour


@dataclass(frozen=True)
class ReportSection:
    """One question and its answer: `claim` is the heading, `facts` say on what it rests (n, split), all plain text.

    `missing` says what there is none of, and `command` makes it. `key` is its name in report.json.
    """

    question: str
    claim: str
    facts: Sequence[str] = ()
    badge: Badge | None = None
    shown: Sequence[Shown] = ()
    notes: Sequence[str] = ()
    missing: str = ""
    command: str = ""
    key: str = ""


@dataclass(frozen=True)
class Chapter:
    """What is said about one run, one study, or several runs together; `key` names its folder in the zip."""

    key: str
    title: str
    sections: Sequence[ReportSection]
    files: Mapping[str, bytes] = field(default_factory=dict)
    cited: frozenset[str] = frozenset()
    left_out: Sequence[str] = ()  # the questions and figures that the user left out


def as_json(value: object) -> str:
    """Return a value, or the JSON of a Plotly figure, as JSON that no text in it can end the element of."""
    if isinstance(value, str):
        made = json.loads(value)
        value = {name: made[name] for name in ("data", "layout")}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def picture_address(picture: Picture) -> str:
    """Return a picture as the address of an image that lies inside the page."""
    made = io.BytesIO()
    Image.fromarray(picture).save(made, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(made.getvalue()).decode('ascii')}"


def cell_text(value: object) -> str:
    """Say the value of a cell: four digits, a dash for none."""
    if value is None or value is pd.NA or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def file_name(text: str) -> str:
    """Return a part of a path that holds letters, digits, dots, dashes and underscores only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "unnamed"
