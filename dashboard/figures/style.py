"""How every figure looks: one template, the colours of the tasks, the thinning of long curves.

Figures are transparent and take text, grid and hover colours from the theme of the page, so that one figure reads on
light and dark; colours of data are fixed here, each at least 3:1 against both backgrounds. Tasks differ by colour,
dash and marker, so that nothing is said by colour alone.
"""

import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "square", "diamond", "triangle-up")
NEUTRAL = "#808495"  # on white and on the dark page 3.7:1 and more
NEAR = "#C47F00"  # amber: what is near the threshold; of no task, and 3:1 on both pages
SMALLER = "#7F6FB5"  # violet: a pruned network; of no task, and 4:1 on both pages
CIVIDIS = (  # without its darkest tenth, which a dark page would swallow
    "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
GRID = "rgba(128,132,149,0.22)"
LETTER = 0.018  # of the width of a plot: a letter of the name of an event, in the narrowest plots
CHARACTER = 7  # px of a letter or digit beside a bar
ROWS, ROW = 3, 17  # of names of events above a plot; px
NARROW = 30  # letters of a line that fits into the column of the selected channel
POINTS = 1000  # per curve; what is drawn beyond that nobody sees
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": NEUTRAL, "size": 13},
        "margin": {"l": 64, "r": 16, "t": 36, "b": 48},
        "colorway": list(COLOURS),
        "hoverlabel": {"namelength": -1},
        "xaxis": {"gridcolor": GRID, "zeroline": False, "automargin": True},
        "yaxis": {"gridcolor": GRID, "zeroline": False, "automargin": True},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
    }
)


@dataclass(frozen=True)
class Style:
    """How one task is drawn everywhere."""

    colour: str
    dash: str
    marker: str


def styles(fields: Sequence[str]) -> dict[str, Style]:
    """Return the style of each task by its place among the fields of the data set, the same in every run and figure."""
    return {name: Style(COLOURS[i % 4], DASHES[i // 4 % 4], MARKERS[(i + i // 4) % 4]) for i, name in enumerate(fields)}


def see_through(colour: str, opacity: float) -> str:
    """Return a colour #rrggbb that lets the page through."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def escaped(text: str) -> str:
    """Return text that Plotly shows as it is."""
    return html.escape(text, quote=False)


def panels(rows: int = 1, columns: int = 1, titles: Sequence[str] = (), height: int = 300) -> go.Figure:
    """Return an empty figure of rows × columns plots in the common look."""
    return go.Figure(_panels(rows, columns, tuple(titles), height))


@lru_cache(128)
def _panels(rows: int, columns: int, titles: tuple[str, ...], height: int) -> go.Figure:
    """Return what `panels` copies: laying out subplots takes ten times as long as a copy."""
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[escaped(title) for title in titles] or None,
        shared_xaxes=True,
        vertical_spacing=0.1,
        horizontal_spacing=0.08,
    )
    figure.update_layout(template=TEMPLATE, height=height, showlegend=False)
    figure.update_annotations(font={"size": 14})
    return figure


def empty(reason: str, height: int = 220, narrow: bool = False) -> go.Figure:
    """Return a figure without axes that says why there is nothing to see yet; `narrow`: in lines for a side column."""
    lines = textwrap.wrap(reason, NARROW) if narrow else [reason]
    figure = panels(height=height)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.add_annotation(
        text="<br>".join(map(escaped, lines)),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 14},
    )
    return figure


def mark(figure: go.Figure, events: Sequence[tuple[float, str]], span: tuple[float, float], xref: str = "x") -> None:
    """Draw a dotted line at each event (epoch, name) through all plots above one another, with its name on top.

    `span` is what the axis shows. Names that would lie on one another stand in rows; where `ROWS` do not hold them, the
    last line says how many have no room.
    """
    line = {"dash": "dot", "width": 1.5, "color": NEUTRAL}
    ends, lost = [-np.inf] * ROWS, 0
    for at, text in sorted(events):
        figure.add_shape(x0=at, x1=at, y0=0, y1=1, xref=xref, yref="paper", line=line)
        half = len(text) * LETTER * (span[1] - span[0]) / 2
        row = next((row for row, end in enumerate(ends) if at - half >= end), None)
        if row is None:
            lost += 1
        elif text:
            ends[row] = at + half
            _name(figure, at, text, row, xref)
    if lost:
        figure.add_annotation(
            x=1, y=1.01, yshift=ROWS * ROW, xref="paper", yref="paper", xanchor="right", yanchor="bottom",
            text=f"{lost} more without a name", showarrow=False,
        )  # fmt: skip
    used = sum(end > -np.inf for end in ends) + bool(lost)
    figure.update_layout(margin={"t": 36 + ROW * max(used - 1, 0)})


def _name(figure: go.Figure, at: float, text: str, row: int, xref: str) -> None:
    figure.add_annotation(
        x=at, y=1.01, yshift=row * ROW, yref="paper", xref=xref, yanchor="bottom", text=text, showarrow=False
    )


def thinned(frame: pd.DataFrame, value: str, points: int = POINTS) -> pd.DataFrame:
    """Return at most `points` rows: the lowest and the highest of each of points / 2 equal stretches, in order.

    Peaks survive, which an average would hide. The last row is always kept, in place of the stretch it ends.
    """
    if len(frame) <= points:
        return frame
    values = frame[value].to_numpy(np.float64, na_value=np.nan)
    kept = [_extremes(values, part) for part in np.array_split(np.arange(len(values)), points // 2 - 1)]
    return frame.iloc[np.unique(np.r_[np.concatenate(kept), len(values) - 1])]


def _extremes(values: NDArray[np.float64], part: NDArray[np.intp]) -> NDArray[np.intp]:
    piece = values[part]
    if np.isnan(piece).all():
        return part[:1]
    return part[[np.nanargmin(piece), np.nanargmax(piece)]]


def xy(frame: pd.DataFrame, value: str) -> dict[str, NDArray[np.float32]]:
    """Return the coordinates of a curve over epochs, thinned and in four bytes each."""
    drawn = thinned(frame, value)
    return {"x": drawn["at"].to_numpy(np.float32), "y": drawn[value].to_numpy(np.float32)}


def evenly(whole: int, most: int) -> NDArray[np.int_]:
    """Return the places of at most `most` of `whole` things, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, whole - 1, min(whole, most)).round().astype(int))


def of_all(drawn: int, whole: int, noun: str) -> str:
    """Say in a second line of an axis's title how many of the layers, say, are drawn, where not all are."""
    return f"<br>{drawn:,} of {whole:,} {noun}; all are in the CSV" if drawn < whole else ""


def middled(name: str, length: int) -> str:
    """Return a name of at most `length` characters, its start and its end: names of tasks may differ in either."""
    start = length // 2
    return name if len(name) <= length else f"{name[:start]}…{name[start + 1 - length :]}"


def shortened(name: str, length: int) -> str:
    """Return a name of at most `length` characters, the end of a longer one, which says more than its start.

    Escape it afterwards, or the cut may go through an escape.
    """
    return name if len(name) <= length else f"…{name[1 - length :]}"


def room_at_the_right(figure: go.Figure, texts: Iterable[str]) -> None:
    """Keep as many pixels beside the axes as the texts behind the bars need: on a narrow page they would be cut."""
    figure.update_layout(margin={"r": 12 + CHARACTER * max(map(len, texts), default=0)})
    figure.update_traces(cliponaxis=False, selector={"mode": "text"})
