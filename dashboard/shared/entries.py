"""What was entered into forms, kept for the session: a form that was closed or left opens again as it was.

Streamlit drops the value of a widget that a run of the script does not draw. What it holds at the start of a run is
therefore kept here, and is put back when the widget is drawn again. A widget whose usual value has changed meanwhile
gets that. A field of a form sends what is in it with the next click on the page, closing the form among them; a link to
another page that comes before loses it.
"""

from collections.abc import Callable, Iterable
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


def entered(key: str, usual: Value, possible: Callable[[Value], Value] = lambda held: held) -> Value:
    """Return what the widget `key` starts with, `usual`; what is `possible` of what was entered before is put back.

    Were what was entered given as the default, the field could not be emptied again: Streamlit refuses that where a
    number field has a default.
    """
    known: dict[str, _Entry] = st.session_state.setdefault(ENTRIES, {})
    if key not in known or known[key].usual != usual:
        if key in known and key in st.session_state:
            st.session_state[key] = usual  # a widget that stays in sight keeps its value, whatever its default becomes
        known[key] = _Entry(usual, usual)
    held: Value = possible(known[key].value)
    if key not in st.session_state and held != usual:
        st.session_state[key] = held
    return usual


def any_entered(keys: Iterable[str]) -> bool:
    """Return whether something other than the usual was entered into one of these widgets."""
    known: dict[str, _Entry] = st.session_state.get(ENTRIES, {})
    return any(known[key].value != known[key].usual for key in keys if key in known)


def entered_place(key: str, options: Iterable[object], usual: int = 0) -> int:
    """Return the place of the option that the widget `key` starts with; one that was chosen before is put back."""
    known = list(options)
    entered(key, known[usual], lambda held: held if held in known else known[usual])
    return usual


def entered_options(key: str, options: Iterable[Value], usual: Iterable[Value] = ()) -> list[Value]:
    """Return the options that the widget `key` starts with; those chosen before are put back, as far as there are."""
    known = set(options)
    start = [option for option in usual if option in known]
    return entered(key, start, lambda held: [option for option in held if option in known])
