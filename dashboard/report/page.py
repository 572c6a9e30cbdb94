"""Chapters as one HTML file that opens without a network: everything is inside, and all text of a run is escaped.

What stands in a section is cut into slides: the claim with the first figure, then each further figure under the claim.
On screen they follow one another; in Present mode one fills the window, and each is a page in print.
"""

import html
from collections.abc import Iterator, Sequence

from plotly.offline import get_plotlyjs

from winnow.dashboard.report.look import LEGENDS, POLICY, SCRIPT, STYLE
from winnow.dashboard.report.parts import (
    Cards,
    Chapter,
    Figure,
    ReportMaps,
    ReportSection,
    ReportTable,
    Shown,
    as_json,
    cell_text,
    file_name,
    picture_address,
)
from winnow.dashboard.shared.formatting import on_paper

MOST_BYTES = 8_000_000  # what goes through e-mail
ROWS_BESIDE = 5  # of a table below what is said, on one slide
HIGH_BESIDE = 340  # px of a figure below what is said, on one slide
MOST_ROWS = 40  # of a table; the zip holds all
TOO_LARGE = "This figure is left out because the file would be larger than 8 MB. Its numbers are in the zip."


Drawn = dict[str, str]  # id of an element → what it shows, as JSON or as HTML; "" for what has no room


def html_page(title: str, chapters: Sequence[Chapter], most_bytes: int = MOST_BYTES) -> bytes:
    """Return the file; where it would be larger than `most_bytes`, the largest figures are left out, and that is said.

    Raises:
        ValueError: it is larger even without any figure.

    """
    data = {name: _content(shown) for name, shown in _large(chapters)}
    content = _page(title, chapters, data)
    while len(content) > most_bytes and any(data.values()):
        over = len(content) - most_bytes
        while over > 0 and any(data.values()):
            largest = max(data, key=lambda name: len(data[name]))
            over -= len(data[largest].encode())
            data[largest] = ""
        content = _page(title, chapters, data)
    if len(content) > most_bytes:
        raise ValueError(f"`RUN` must be fewer runs: this report needs {len(content):,} bytes of {most_bytes:,}.")
    return content


def _page(title: str, chapters: Sequence[Chapter], drawn: Drawn) -> bytes:
    json = {name: text for name, text in drawn.items() if text.startswith("{")}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_text(POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{_text(title)}</h1>{_contents(chapters)}",
        '<p><button id="start" type="button">Present</button> <span class="source">One claim per slide. Arrow keys '
        "move, Esc ends. Printing gives one page per slide.</span></p></header><main>",
        *(_chapter(place, chapter, drawn, len(chapters) > 1) for place, chapter in enumerate(chapters)),
        f'</main><div id="number" aria-live="polite"></div><footer>{_left_out(chapters)}',
        "<p>Made by Winnow. The numbers behind every figure, the specs, the digests, the references "
        "and the commands that repeat the runs are in the zip beside this file.</p>",
        "<noscript><p>The figures need JavaScript. The sentences and tables do not.</p></noscript></footer>",
        *(f'<script type="application/json" id="{name}">{text}</script>' for name, text in json.items()),
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


def _left_out(chapters: Sequence[Chapter]) -> str:
    """Say what the user left out: a report that is silent of it would claim to be whole."""
    left = [name for chapter in chapters for name in chapter.left_out]
    return f"<p>Left out by choice: {_text(', '.join(left))}.</p>" if left else ""


def _chapter(place: int, chapter: Chapter, drawn: Drawn, several: bool) -> str:
    sections = [_section((place, number), section, drawn) for number, section in enumerate(chapter.sections)]
    return f"{f'<h1 class=chapter>{_text(chapter.title)}</h1>' if several else ''}{''.join(sections)}"


def _section(place: tuple[int, int], section: ReportSection, drawn: Drawn) -> str:
    badge = section.badge
    marked = f'<span class="badge {badge.colour}">{_text(badge.word)}</span>' if badge else ""
    facts = _text(" · ".join(section.facts))
    said = f'<p class="facts">{marked}{facts}</p>' if marked or facts else ""
    head = [
        f'<p class="question">{_text(section.question)}</p>',
        f"<h2>{_text(section.claim)}</h2>",
        said,
        *(f"<p>{_text(note)}</p>" for note in section.notes),
    ]
    if section.missing:
        command = f"To make it: <code>{_text(section.command)}</code>" if section.command else ""
        missing = "" if section.missing == section.claim and command else _text(section.missing)
        head.append(f'<p class="missing">{" ".join(filter(None, (missing, command)))}</p>')
    items = [_item(_name((*place, number)), shown, drawn) for number, shown in enumerate(section.shown)]
    claims = [(isinstance(shown, Figure) and shown.claim) or section.claim for shown in section.shown]
    alone = len(items) == 1 and not section.notes and not isinstance(section.shown[0], Cards)
    beside = items[:1] if alone or not _fills(section) else []
    first = "slide alone" if alone else "slide"
    slides = [f'<div class="{first}" tabindex="-1">{"".join(head)}{"".join(beside)}</div>']
    slides += [
        f'<div class="slide" tabindex="-1"><p class="again" aria-hidden="true">{_text(claim)}</p>{item}</div>'
        for claim, item in list(zip(claims, items, strict=True))[len(beside) :]
    ]
    return f'<section id="s{place[0]}-{place[1]}" data-key="{_text(section.key)}">{"".join(slides)}</section>'


def _fills(section: ReportSection) -> bool:
    """Return whether what is said fills a slide, so that the first figure has the next one for itself."""
    first = next(iter(section.shown), None)
    if isinstance(first, ReportTable):
        return len(first.frame) > ROWS_BESIDE
    tall = isinstance(first, Figure) and int(first.chart.figure.layout.height or 0) > HIGH_BESIDE
    return isinstance(first, Cards | ReportMaps) or tall or len(section.notes) > 1


def _item(name: str, shown: Shown, drawn: Drawn) -> str:
    if isinstance(shown, ReportTable):
        return _table(shown)
    caption = f"<figcaption>{_text(on_paper(shown.reading))}</figcaption>"
    if not drawn[name]:
        return f'<figure class="gallery"><p class="missing">{TOO_LARGE}</p>{caption}</figure>'
    if isinstance(shown, Cards):
        return f'<figure class="gallery">{drawn[name]}{caption}</figure>'
    return f"<figure>{_maps(name, shown) if isinstance(shown, ReportMaps) else _plot(name, shown)}{caption}</figure>"


def _plot(name: str, figure: Figure) -> str:
    height = int(figure.chart.figure.layout.height or 300)
    label = f'role="img" aria-label="{_text(on_paper(figure.reading))}" style="height:{height}px"'
    return f'<div class="plot" data-figure="{name}" data-name="{_text(file_name(figure.key))}" {label}></div>'


def _maps(name: str, maps: ReportMaps) -> str:
    """Return where canvas/report.js draws maps, with a slider where there are several moments."""
    titles, labels = list(maps.data["titles"]), list(maps.data["labels"])
    label = _text(on_paper(maps.reading))
    panels = [f'<div><h3>{_text(title)}</h3><svg role="img" aria-label="{label}"></svg></div>' for title in titles]
    slider = (
        f'<input type="range" min="0" max="{len(labels) - 1}" value="{maps.data["first"]}" '
        'aria-label="Moment"><button type="button">Replay</button>'
    )
    low, high = (f"{float(maps.data[end]):.2g}" for end in ("low", "high"))
    legend = "".join(LEGENDS[kind].format(low=low, high=high) for kind in dict.fromkeys(maps.data["palettes"]))
    return (
        f'<div class="replay" data-figure="{name}"><div class="legend">{legend}</div>'
        f'<div class="controls">{slider if len(labels) > 1 else ""}<span class="moment"></span></div>'
        f'<div class="panels">{"".join(panels)}</div><div class="pointed"></div></div>'
    )


def _cards(cards: Cards) -> str:
    made = []
    for card in cards.cards:
        images = "".join(
            f'<div><img alt="{_text(caption)}" src="{picture_address(picture)}">{_text(caption)}</div>'
            for caption, picture in card.pictures
        )
        facts = f"<p>{_text(card.facts)}</p>" if card.facts else ""
        made.append(f'<div class="card"><h3>{_text(card.title)}</h3>{facts}<div class="images">{images}</div></div>')
    return f'<div class="cards">{"".join(made)}</div>'


def _table(table: ReportTable) -> str:
    frame = table.titled.head(MOST_ROWS)
    head = "".join(f"<th scope='col'>{_text(name)}</th>" for name in frame.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_text(cell_text(value))}</td>' for value in row)}</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    left = len(table.frame) - len(frame)
    more = f" {left} more {'row is' if left == 1 else 'rows are'} in the zip." if left else ""
    caption = f"<caption>{_text(table.reading + more)}</caption>"
    # report.js says here how many rows a slide has no room for
    inside = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{inside}<p class="beyond" hidden></p></div>'


def _large(chapters: Sequence[Chapter]) -> Iterator[tuple[str, Shown]]:
    """Yield all that may be left out for want of room, by the id of its element."""
    sections = (
        (place, number, section)
        for place, chapter in enumerate(chapters)
        for number, section in enumerate(chapter.sections)
    )
    for place, number, section in sections:
        for index, shown in enumerate(section.shown):
            if not isinstance(shown, ReportTable):
                yield _name((place, number, index)), shown


def _name(place: tuple[int, ...]) -> str:
    return f"figure-{'-'.join(map(str, place))}"


def _content(shown: Shown) -> str:
    if isinstance(shown, Figure):
        return as_json(shown.chart.figure.to_json())
    return as_json(shown.data) if isinstance(shown, ReportMaps) else _cards(shown) if isinstance(shown, Cards) else ""
