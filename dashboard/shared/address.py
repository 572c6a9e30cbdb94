"""The address of the page: the one place that says what the page shows.

Every choice that a copied link must restore is a query parameter. The page reads it at the start of each run, and the
widgets follow it, never the other way round. A click writes the address once, so that it is one entry in the browser's
history; then the whole page is drawn again, as the links to the other pages carry the address too. No widget is bound
to a parameter: Streamlit lets nobody else write a bound one, and takes it from the address when the page changes.

The browser sends its address with every request, also with those of a part that redraws by itself; one that it sent
before it heard of the last click says the address before. So only a run of the whole page takes the browser's address,
and not one that was just left; a part that redraws, and a click, stand where the page stands.

An address may say less than the page needs. What completes it is kept beside it, and the browser writes it in place of
what was asked for (`dashboard.navigation.bar`): a page that is drawn never adds an entry to the history.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from winnow.dashboard.shared.showing import show

RUN, OTHER, STUDY = "run", "other", "study"  # the run, the one it is compared with, the study or path
PRUNING, EXPLANATION, SENSITIVITY = "pruning", "explanation", "sensitivity"  # of the run
LAYER, CHANNEL, KIND = "layer", "channel", "kind"  # the selected cell, see dashboard.frames.cells
TASK = "task"
PRESENT = "present"  # "1": as slides
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

LATE = 5.0  # seconds in which a request may still say an address that was left: a busy browser's way there and back

STANDING = "standing_address"  # in the session
COMPLETED = "completed_address"  # too
ABOUT, CLAIM = "page_is_about", "page_says"  # too: RUN, STUDY or None; the sentence that the page opens with

Named = Mapping[str, str | None]
Option = TypeVar("Option")


@dataclass(frozen=True)
class _Standing:
    """The address at which a page stands, and those that clicks on it left, each with the moment."""

    page: str
    says: Mapping[str, str]
    left: tuple[tuple[Mapping[str, str], float], ...] = ()

    def just_left(self, said: Mapping[str, str]) -> bool:
        """Return whether an address was left within `LATE`; slides are asked for by a link to the page itself."""
        if said.get(PRESENT) != self.says.get(PRESENT):
            return False
        return any(address == said and time.monotonic() - moment < LATE for address, moment in self.left)


@dataclass(frozen=True)
class _Completed:
    """What completes an address that says `asked` of what is linked."""

    asked: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


def arrive(page: str) -> None:
    """Take the browser's address for the page `page`, at the start of a run of the whole script.

    One that was just left is not taken, unless the user went back to it: it was sent before the browser heard of that.
    """
    standing, said = st.session_state.get(STANDING), st.query_params.to_dict()
    if isinstance(standing, _Standing) and standing.page == page:
        if said == standing.says:
            return
        if standing.just_left(said) and not _went_back():
            st.query_params.from_dict(standing.says)
            return
    st.session_state[STANDING] = _Standing(page, said)


def open_page() -> str | None:
    """Return which page is open, None where nobody said."""
    standing = st.session_state.get(STANDING)
    return standing.page if isinstance(standing, _Standing) else None


def named(name: str) -> str | None:
    """Return what the address says of `name`, completed; None where it says nothing."""
    return _asked(name) or _more().get(name)


def linked() -> dict[str, str]:
    """Return what goes along to other pages."""
    return {name: value for name in LINKED if (value := named(name)) is not None}


def requested() -> dict[str, str]:
    """Return all that the address says, as the page stands."""
    standing = st.session_state.get(STANDING)
    return dict(standing.says) if isinstance(standing, _Standing) else st.query_params.to_dict()


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
    before = whole()
    after = {name: value for name, value in {**before, **changes}.items() if value is not None}
    if after != before:
        st.session_state.pop(COMPLETED, None)
        _stand(after, before)
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
    show(name, texts.get(named(name) or "", usual), *texts)

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


def _stand(after: Mapping[str, str], before: Mapping[str, str]) -> None:
    """Stand at another address of the same page; the browser may have the one before as it was asked, or completed."""
    standing, now = st.session_state.get(STANDING), time.monotonic()
    if isinstance(standing, _Standing):
        known = [pair for pair in standing.left if now - pair[1] < LATE]
        st.session_state[STANDING] = replace(standing, says=after, left=(*known, (standing.says, now), (before, now)))


def _went_back() -> bool:
    """Return whether the user went back or forward in the browser's history; True where that isn't known."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", True))


def _asked(name: str) -> str | None:
    found = requested().get(name)
    return found[:MOST] if found else None


def _linked() -> dict[str, str]:
    return {name: value for name in LINKED if (value := _asked(name)) is not None}


def _more() -> Mapping[str, str]:
    """Return what completes the address, nothing where it says something else by now."""
    kept = st.session_state.get(COMPLETED)
    return kept.more if isinstance(kept, _Completed) and kept.asked == _linked() else {}
