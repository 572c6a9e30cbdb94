"""Widgets that show what the page says, whether that stands in the address, in a selection or in a file."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

DRAWN_WIDGETS = "drawn_widgets"  # in the session: widget → what makes it this one
_ABSENT = object()


def show(name: str, value: object, *about: object) -> None:
    """Let the widget `name`, drawn next, show a value; `about`: what else makes it this widget, such as its options.

    A part that redraws by itself writes it only where it shows another: written without need, it would undo a click
    that is on its way. A whole page always writes it, as its widgets may be new to the browser.
    """
    drawn = st.session_state.setdefault(DRAWN_WIDGETS, {})
    known = _redraws_alone() and drawn.get(name) == about
    if not known or st.session_state.get(name, _ABSENT) != value:
        st.session_state[name] = value
    drawn[name] = about


def _redraws_alone() -> bool:
    """Return whether a part of the page is drawn without the rest; False where that isn't known."""
    return bool(getattr(get_script_run_ctx(), "fragment_ids_this_run", None))
