"""What a report consists of: chapters, each about one run or study, of sections headed by a claim."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from winnow.dashboard.shared.panel import Chart
from winnow.engine.explain.checks.badges import Colour


@dataclass(frozen=True)
class Figure:
    """A figure: its name in the files, what it shows, how to read it."""

    key: str
    chart: Chart
    reading: str


@dataclass(frozen=True)
class ReportTable:
    """A table: its name in the files, its frame, how to read it."""

    key: str
    frame: pd.DataFrame
    reading: str = ""


@dataclass(frozen=True)
class Badge:
    """Whether a claim holds, in a word, and its colour."""

    word: str
    colour: Colour


@dataclass(frozen=True)
class ReportSection:
    """One question and its answer: `claim` is the heading, `facts` say on what it rests (n, split), all plain text.

    `missing` says what there is none of, and `command` makes it.
    """

    question: str
    claim: str
    facts: Sequence[str] = ()
    badge: Badge | None = None
    shown: Sequence[Figure | ReportTable] = ()
    notes: Sequence[str] = ()
    missing: str = ""
    command: str = ""


@dataclass(frozen=True)
class Chapter:
    """What is said about one run, one study, or several runs together; `key` names its folder in the zip."""

    key: str
    title: str
    sections: Sequence[ReportSection]
    files: Mapping[str, bytes] = field(default_factory=dict)
    cited: frozenset[str] = frozenset()


def file_name(text: str) -> str:
    """Return a part of a path that holds letters, digits, dots, dashes and underscores only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-") or "unnamed"
