"""The pages, and the ways from one to another.

A page is one line of the table below and one folder, `dashboard/pages/<name>/page.py` with a function `page()`. It is
imported when it is opened, so that the table of runs does not wait for the figures, and so that pages may link to one
another without importing one another. Every link carries the address: the run and what else is chosen goes along, a
click is one entry in the browser's history, and a link that is copied or opened in a new tab shows the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn
from urllib.parse import urlencode

import streamlit as st

from winnow.dashboard.canvas.components import HERE, script
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import EXPLANATION, OTHER, PRESENT, PRUNING, RUN, STUDY
from winnow.dashboard.shared.choosing import complete_usual, completed, going
from winnow.dashboard.shared.damage import guarded_page, unreadable_root
from winnow.dashboard.shared.entries import keep_entries
from winnow.dashboard.shared.watching import watched


@dataclass(frozen=True)
class Entry:
    """One page: its place in the address, how it is called, its icon, what it answers, and what it shows one of."""

    url: str
    title: str
    icon: str
    help: str
    shows: tuple[str, ...] = (RUN,)

    @property
    def module(self) -> str:
        """The module whose `page()` draws it."""
        return f"winnow.dashboard.pages.{self.url}.page"


HOME = "runs"
ENTRIES = {
    entry.url: entry
    for entry in (
        Entry("runs", "Runs", "table_rows", "All runs, and comparisons", ()),
        Entry("train", "Train", "monitoring", "Watch and drive one run"),
        Entry("path", "Path", "timeline", "What sparsity costs: paths and studies", (STUDY,)),
        Entry("groups", "Groups", "grid_on", "Which groups survive, and where"),
        Entry("tasks", "Tasks", "hub", "Which features are shared, which specific", (RUN, EXPLANATION)),
        Entry("explain", "Explain", "lightbulb", "What a task relies on, and whether that is true", (RUN, EXPLANATION)),
        Entry("prune", "Prune", "content_cut", "Remove, measure, export", (RUN, PRUNING)),
        Entry("compare", "Compare", "compare", "One run against another", (RUN, OTHER)),
        Entry("data", "Data", "dataset", "What is in a data set, and what is wrong with it", ()),
        Entry("report", "Report", "slideshow", "Present what was found: one file, or slides"),
        Entry("new", "New run", "add_circle", "Describe and start a run", ()),
    )
}
GOING = "going"
SLIDES = "winnow.dashboard.pages.report.slides"
_history = st.components.v2.component("winnow_history", html="<span></span>", js=script("history.js"))
_zoom = st.components.v2.component("winnow_zoom", html="<span></span>", js=script("zoom.js"))
_skip = st.components.v2.component(
    "winnow_skip",
    html='<a href="#figure">Skip to the figure</a>',
    css=HERE.joinpath("skip.css").read_text("utf-8"),
    js=script("skip.js"),
)
_click = st.components.v2.component("winnow_going", html="<span></span>", js=script("going.js"))


def pages() -> list[st.Page]:
    """Return all pages, and the one that stands at the root: the table of runs, which also answers by its name."""
    home = ENTRIES[HOME]
    root = st.Page(_opener(home), title=home.title, icon=_icon(home), url_path="home", default=True)
    return [root, *(_page(entry) for entry in ENTRIES.values())]


def bar(opened: st.Page) -> None:
    """Draw the links to all pages; the link to the one that is open changes nothing.

    What the open page shows completes the address, in place of the entry that the browser has for it.
    """
    keep_entries()
    shows = ENTRIES[opened.url_path or HOME].shows if (opened.url_path or HOME) in ENTRIES else ()
    complete_usual([RUN, *shows])
    said = address.linked()
    st.session_state[address.ABOUT] = STUDY if STUDY in shows else RUN if RUN in shows else None
    st.session_state[address.CLAIM] = ""
    chosen = completed([name for entry in ENTRIES.values() for name in entry.shows], said)
    with st.container(key="unseen"):
        _skip(key="skip")
        _zoom(key="zoom")
        _history(key="history", data={"asked": urlencode(address.requested()), "whole": urlencode(address.whole())})
    with st.container(horizontal=True, key="navigation", gap="xsmall"):
        for entry in ENTRIES.values():
            here = entry.url == (opened.url_path or HOME)
            shown = {name: chosen[name] for name in entry.shows if name in chosen}
            st.page_link(
                opened if here else _page(entry),
                label=entry.title,
                icon=_icon(entry),
                help=entry.help,
                query_params=address.whole() if here else {**said, **shown},
            )


def refused_root() -> bool:
    """Say where the folder of the runs cannot be read; return whether it can't. The page looks again by itself."""
    why = unreadable_root()
    if why:
        st.error(why, icon=":material/folder_off:")
        watched("root", why, unreadable_root)
    return bool(why)


def presented() -> bool:
    """Return whether the address asks for slides in place of the page."""
    return address.requested().get(PRESENT) == "1"


def present(opened: st.Page) -> None:
    """Draw the slides of what a page shows, and nothing else."""
    url = opened.url_path or HOME
    shows = ENTRIES[url].shows if url in ENTRIES else ()
    address.complete(completed([STUDY if STUDY in shows else RUN], address.linked()))
    guarded_page(lambda: import_module(SLIDES).slides(url))


def link(url: str, label: str, **chosen: str) -> None:
    """Draw a link to a page with something chosen there."""
    entry = ENTRIES[url]
    st.page_link(_page(entry), label=label, icon=_icon(entry), query_params=going(chosen))


def go(url: str, **chosen: str) -> NoReturn:
    """Open a page with something chosen there, and draw nothing more of this one.

    The browser clicks the link: another way would leave two entries in its history. Where it can't, the link is there.
    """
    with st.container(key=GOING):
        link(url, f"Open {ENTRIES[url].title}", **chosen)
    _click(key=f"go_to_{url}", data={"link": f".st-key-{GOING} a"})
    st.stop()


def _page(entry: Entry) -> st.Page:
    return st.Page(_opener(entry), title=entry.title, icon=_icon(entry), url_path=entry.url, help=entry.help)


def _icon(entry: Entry) -> str:
    return f":material/{entry.icon}:"


def _opener(entry: Entry) -> Callable[[], None]:
    """Return what draws a page, imported when it is called."""

    def opened() -> None:
        guarded_page(import_module(entry.module).page)

    return opened
