"""The address of the page: the one place that says what the page shows.

Every choice that a copied link must restore is a query parameter. The page reads it at the start of each run, and the
widgets follow it, never the other way round. A click writes the address once, so that it is one entry in the browser's
history; then the whole page is drawn again, as the links to the other pages carry the address too. No widget is bound
to a parameter: Streamlit lets nobody else write a bound one, and takes it from the address when the page changes.

An address may say less than the page needs. What completes it is kept beside it, and the browser writes it in place of
what was asked for (`dashboard.navigation.bar`): a page that is drawn never adds an entry to the history.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import streamlit as st

RUN, OTHER, STUDY = "run", "other", "study"  # the run, the one it is compared with, the study or path
PRUNING, EXPLANATION, SENSITIVITY = "pruning", "explanation", "sensitivity"  # of the run
LAYER, CHANNEL, KIND = "layer", "channel", "kind"  # the selected cell, see dashboard.frames.cells
TASK = "task"
LINKED = (
    RUN,
    OTHER,
    STUDY,
    PRUNING,
    EXPLANATION,
    SENSITIVITY,
    LAYER,
    CHANNEL,
    KIND,
    TASK,
)  # what goes along to other pages
MOST = 1000  # characters of a name that is worth reading

COMPLETED = "completed_address"  # in the session
ABOUT, CLAIM = "page_is_about", "page_says"  # too: RUN, STUDY or None; the sentence that the page opens with

Named = Mapping[str, str | None]
Option = TypeVar("Option")


@dataclass(frozen=True)
class _Completed:
    """What completes an address that says `asked` of what is linked."""

    asked: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


def named(name: str) -> str | None:
    """Return what the address says of `name`, completed; None where it says nothing."""
    return _asked(name) or _more().get(name)


def linked() -> dict[str, str]:
    """Return what goes along to other pages."""
    return {name: value for name in LINKED if (value := named(name)) is not None}


def requested() -> dict[str, str]:
    """Return all that the browser's address says."""
    found: dict[str, str] = st.query_params.to_dict()
    return found


def whole() -> dict[str, str]:
    """Return all that the address says, completed."""
    return {**_more(), **requested()}


def complete(values: Mapping[str, str]) -> None:
    """Take `values` for what the address does not say, for as long as it says the same."""
    said = _linked()
    more = {name: value for name, value in values.items() if name not in said}
    st.session_state[COMPLETED] = _Completed(said, more)


def change(changes: Named) -> None:
    """Write the changes to the address, None for what goes, and draw the page again; nothing where nothing changes."""
    after = {name: value for name, value in {**whole(), **changes}.items() if value is not None}
    if after != whole():
        st.session_state.pop(COMPLETED, None)
        st.query_params.from_dict(after)
        st.rerun()


def address_moved(changes: Named) -> NoReturn:
    """Write the changes and draw the page again, even where nothing changes."""
    change(changes)
    st.rerun()


def following(
    name: str,
    options: Iterable[Any],
    usual: Any,
    others: Callable[[Any], Named] | None = None,
) -> dict[str, Any]:
    """Return the key and the callback of a widget that follows the address; `usual` is what no word in it means.

    `others` says what else changes with the value that was chosen. An option stands in the address as its text.
    """
    texts = {str(option): option for option in options}
    st.session_state[name] = texts.get(named(name) or "", usual)

    def write() -> None:
        value = st.session_state[name]
        if value is not None and str(value) not in texts:
            return  # the page sends an option as its title, and a live job's title changes
        change({name: None if value is None or value == usual else str(value), **(others(value) if others else {})})

    return {"key": name, "on_change": write}


def segments(
    name: str, label: str, titles: Mapping[Option, str], usual: Option, quiet: bool = False, about: str | None = None
) -> Option:
    """Let the user choose one of a few options (option → title), kept in the address; `quiet` hides the label."""
    chosen = st.segmented_control(
        label,
        list(titles),
        format_func=lambda option: titles[option],
        required=True,
        label_visibility="collapsed" if quiet else "visible",
        help=about,
        **following(name, titles, usual),
    )
    return chosen if chosen in titles else usual


def tabs(name: str, titles: Sequence[str]) -> Sequence[Any]:
    """Return tabs of which the address says the open one; only that one is to be drawn."""
    return st.tabs(titles, **following(name, titles, titles[0]))


def _asked(name: str) -> str | None:
    found = st.query_params.get(name)
    return found[:MOST] if found else None


def _linked() -> dict[str, str]:
    return {name: value for name in LINKED if (value := _asked(name)) is not None}


def _more() -> Mapping[str, str]:
    """Return what completes the address, nothing where it says something else by now."""
    kept = st.session_state.get(COMPLETED)
    return kept.more if isinstance(kept, _Completed) and kept.asked == _linked() else {}
