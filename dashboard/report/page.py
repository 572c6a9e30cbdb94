"""Chapters as one HTML file that opens without a network: everything is inside, and all text of a run is escaped."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from plotly.offline import get_plotlyjs

from winnow.dashboard.report.look import POLICY, SCRIPT, STYLE
from winnow.dashboard.report.parts import Chapter, Figure, ReportSection, ReportTable, file_name

MOST_BYTES = 8_000_000  # what goes through e-mail
MOST_ROWS = 40  # of a table; the zip holds all
TOO_LARGE = "This figure is left out, as the file would be larger than 8 MB. Its numbers are in the zip."


@dataclass(frozen=True)
class FigureData:
    """The figures as JSON by the id of their element, "" for one without room; and if there are several chapters."""

    data: dict[str, str]
    several: bool


def html_page(title: str, chapters: Sequence[Chapter], most_bytes: int = MOST_BYTES) -> bytes:
    """Return the file; where it would be larger than `most_bytes`, the largest figures are left out, and that is said.

    Raises:
        ValueError: it is larger even without any figure.

    """
    data = {name: _json(figure) for name, figure in _figures(chapters)}
    content = _page(title, chapters, FigureData(data, len(chapters) > 1))
    while len(content) > most_bytes and any(data.values()):
        over = len(content) - most_bytes
        while over > 0 and any(data.values()):
            largest = max(data, key=lambda name: len(data[name]))
            over -= len(data[largest].encode())
            data[largest] = ""
        content = _page(title, chapters, FigureData(data, len(chapters) > 1))
    if len(content) > most_bytes:
        raise ValueError(f"`RUN` must be fewer runs: this report needs {len(content):,} bytes of {most_bytes:,}.")
    return content


def _page(title: str, chapters: Sequence[Chapter], drawn: FigureData) -> bytes:
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_text(POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{_text(title)}</h1>{_contents(chapters)}</header><main>",
        *(_chapter(place, chapter, drawn) for place, chapter in enumerate(chapters)),
        "</main><footer><p>Made by Winnow. The numbers behind every figure, the specs, the digests, the references "
        "and the commands that repeat the runs are in the zip beside this file.</p>",
        "<noscript><p>The figures need JavaScript. The sentences and tables do not.</p></noscript></footer>",
        *(f'<script type="application/json" id="{name}">{data}</script>' for name, data in drawn.data.items() if data),
        f"<script>{get_plotlyjs()}</script><script>{SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts).encode()


def _text(value: object) -> str:
    """Return HTML that shows a value as it is, in text and in attributes."""
    return html.escape(str(value), quote=True)


def _contents(chapters: Sequence[Chapter]) -> str:
    several = len(chapters) > 1
    links = [
        f'<li><a href="#s{place}-{number}">{_text(section.question)}</a> {_text(chapter.title) if several else ""}</li>'
        for place, chapter in enumerate(chapters)
        for number, section in enumerate(chapter.sections)
    ]
    return f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>'


def _chapter(place: int, chapter: Chapter, drawn: FigureData) -> str:
    sections = [_section((place, number), section, drawn) for number, section in enumerate(chapter.sections)]
    return f"{f'<h1>{_text(chapter.title)}</h1>' if drawn.several else ''}{''.join(sections)}"


def _section(place: tuple[int, int], section: ReportSection, drawn: FigureData) -> str:
    badge = section.badge
    marked = f'<span class="badge {badge.colour}">{_text(badge.word)}</span>' if badge else ""
    facts = _text(" · ".join(section.facts))
    parts = [
        f'<section id="s{place[0]}-{place[1]}"><p class="question">{_text(section.question)}</p>',
        f"<h2>{_text(section.claim)}</h2>",
        f'<p class="facts">{marked}{facts}</p>' if marked or facts else "",
        *(f"<p>{_text(note)}</p>" for note in section.notes),
    ]
    if section.missing:
        command = f" To make it: <code>{_text(section.command)}</code>" if section.command else ""
        parts.append(f'<p class="missing">{_text(section.missing)}{command}</p>')
    for number, shown in enumerate(section.shown):
        name = _name((*place, number))
        parts.append(_table(shown) if isinstance(shown, ReportTable) else _figure(name, shown, drawn))
    return "".join([*parts, "</section>"])


def _figure(name: str, figure: Figure, drawn: FigureData) -> str:
    reading = _read(figure.reading)
    caption = f"<figcaption>{_text(reading)}</figcaption>"
    if not drawn.data[name]:
        return f'<figure><p class="missing">{TOO_LARGE}</p>{caption}</figure>'
    height = int(figure.chart.figure.layout.height or 300)
    label = f'role="img" aria-label="{_text(reading)}" style="height:{height}px"'
    plot = f'<div class="plot" data-figure="{name}" data-name="{_text(file_name(figure.key))}" {label}></div>'
    return f"<figure>{plot}{caption}</figure>"


def _read(reading: str) -> str:
    """Return how to read a figure, without what can only be clicked on a page of the dashboard."""
    return " ".join(part for part in re.split(r"(?<=[.:]) ", reading) if not part.startswith("Click"))


def _table(table: ReportTable) -> str:
    frame = table.frame.head(MOST_ROWS)
    head = "".join(f"<th scope='col'>{_text(name)}</th>" for name in frame.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_text(_cell(value))}</td>' for value in row)}</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    left = len(table.frame) - len(frame)
    more = f" {left} more rows are in the zip." if left else ""
    caption = f"<caption>{_text(table.reading + more)}</caption>"
    inside = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{inside}</div>'


def _cell(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(chapters: Sequence[Chapter]) -> Iterator[tuple[str, Figure]]:
    sections = (
        (place, number, section)
        for place, chapter in enumerate(chapters)
        for number, section in enumerate(chapter.sections)
    )
    for place, number, section in sections:
        for index, shown in enumerate(section.shown):
            if isinstance(shown, Figure):
                yield _name((place, number, index)), shown


def _name(place: tuple[int, ...]) -> str:
    return f"figure-{'-'.join(map(str, place))}"


def _json(figure: Figure) -> str:
    """Return a figure as JSON that no text in it can end the element of."""
    made = json.loads(figure.chart.figure.to_json())
    text = json.dumps({name: made[name] for name in ("data", "layout")}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
