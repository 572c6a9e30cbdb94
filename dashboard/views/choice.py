"""The run that a page is about: chosen in the selector, kept in the address, the newest at first."""

import streamlit as st

from dashboard.selection import RUN, keep, recall
from dashboard.words import sentence
from engine.runs import Run
from engine.spec import SpecError


def chosen(known: list[str]) -> str:
    """Let the user choose a run, the newest at first; return its id."""
    recall()
    _newest_unless_chosen(known)
    identity = st.selectbox(
        "Run",
        known,
        index=None,
        required=True,  # the newest as default would leave the address, and a copied link would go stale
        key=RUN,
        bind="query-params",
        label_visibility="collapsed",
        width=460,
    )
    keep()
    return identity if identity in known else known[0]


def frozen(live: bool) -> bool:
    """Ask, of a live run, whether to stop redrawing."""
    return live and st.toggle("Freeze", key="freeze", help="Stop redrawing the figures, to zoom and read in peace")


def readable(run: Run) -> bool:
    """Return whether the spec can be read; one that can't is said here, once, and not in every figure."""
    try:
        return bool(run.spec)
    except (OSError, SpecError, ValueError) as error:
        st.error(f"This run can't be shown: {sentence(str(error))}", icon=":material/error:")
        return False


def _newest_unless_chosen(known: list[str]) -> None:
    """Choose the newest run where neither the session nor the address names one that exists.

    An empty address is filled, so that it can be copied; one that names no run is cleared by the selector itself.
    """
    named = st.session_state.get(RUN) or st.query_params.get(RUN)
    if named is None:
        st.query_params[RUN] = known[0]
    if named not in known:
        st.session_state[RUN] = known[0]
