"""What was entered into forms, kept for the session: a form that was closed or left opens again as it was.

Streamlit drops the value of a widget that a run of the script does not draw. What it holds at the start of a run is
therefore kept here, and is what the widget starts with when it is drawn again. A widget whose usual value has changed
meanwhile starts with that. A field of a form sends what is in it with the next click on the page, closing the form
among them; a link to another page that comes before loses it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

ENTRIES = "form_entries"  # in the session: key of a widget → _Entry
Value = TypeVar("Value")


@dataclass
class _Entry:
    """What a widget starts with unless something was entered, and what it holds."""

    usual: Any
    value: Any


def keep_entries() -> None:
    """Keep what the widgets of all forms hold now; called at the start of a run, and where a form may close."""
    for key, entry in st.session_state.get(ENTRIES, {}).items():
        if key in st.session_state:
            entry.value = st.session_state[key]


def entered(key: str, usual: Value) -> Value:
    """Return what was entered into the widget `key`, `usual` where nothing was, or where that has changed since."""
    known: dict[str, _Entry] = st.session_state.setdefault(ENTRIES, {})
    if key not in known or known[key].usual != usual:
        known[key] = _Entry(usual, usual)
    found: Value = known[key].value
    return found


def any_entered(keys: Iterable[str]) -> bool:
    """Return whether something other than the usual was entered into one of these widgets."""
    known: dict[str, _Entry] = st.session_state.get(ENTRIES, {})
    return any(known[key].value != known[key].usual for key in keys if key in known)


def entered_place(key: str, options: Iterable[object], usual: int = 0) -> int:
    """Return the place of the option that was chosen in the widget `key`, `usual` where there is no such option."""
    known = list(options)
    chosen = entered(key, known[usual])
    return known.index(chosen) if chosen in known else usual


def entered_options(key: str, options: Iterable[Value], usual: Iterable[Value] = ()) -> list[Value]:
    """Return those of the `options` that were chosen in the widget `key`."""
    known = set(options)
    return [option for option in entered(key, list(usual)) if option in known]
