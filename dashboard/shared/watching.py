"""Looking again: an idle page is drawn anew once what it shows is no longer so; it may be changed anywhere."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

EVERY = 5.0  # seconds between two looks
Seen = TypeVar("Seen")


def watched(name: str, drawn: Seen, seen: Callable[[], Seen]) -> None:
    """Draw the page anew once `seen` returns something else than was `drawn`; `name` tells one look from another."""

    def look() -> None:
        if seen() != drawn:
            st.rerun()

    look.__qualname__ = f"{__name__}.{name}"  # by which Streamlit tells one fragment from another
    st.fragment(look, run_every=EVERY)()
