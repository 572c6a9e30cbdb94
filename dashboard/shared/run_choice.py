"""The run, or the pruning, that a page is about: chosen in the selector, kept in the address, the newest at first."""

from typing import NoReturn

import streamlit as st

from winnow.dashboard.shared.formatting import sentence
from winnow.dashboard.shared.selection import PRUNING, RUN, STUDY, keep, recall
from winnow.engine.runs.run import Run
from winnow.engine.specs.frozen import SpecError

STARTED = {PRUNING: "pruning_to_show", STUDY: "study_to_show"}


def chosen(known: list[str]) -> str:
    """Let the user choose a run, the newest at first; return its id."""
    recall()
    return _chosen("Run", RUN, known, 460)


def chosen_pruning(known: list[str]) -> str:
    """Let the user choose a pruning of the run, the newest at first; return its id."""
    return _chosen("Pruning", PRUNING, known, 380)


def show_pruning(identity: str) -> NoReturn:
    """Draw the page anew, with this pruning chosen: its selector may stand on the page already."""
    st.session_state[STARTED[PRUNING]] = identity
    st.rerun()


def chosen_study(known: list[str]) -> str:
    """Let the user choose a study or path, the newest at first; return its id."""
    recall()
    return _chosen("Study or path", STUDY, known, 460)


def show_study(identity: str) -> NoReturn:
    """Draw the page anew, with this study chosen."""
    st.session_state[STARTED[STUDY]] = identity
    st.rerun()


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


def _chosen(label: str, key: str, known: list[str], width: int) -> str:
    _newest_unless_chosen(key, known)
    identity = st.selectbox(
        label,
        known,
        index=None,
        required=True,  # the newest as default would leave the address, and a copied link would go stale
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        width=width,
    )
    keep()
    return identity if identity in known else known[0]


def _newest_unless_chosen(key: str, known: list[str]) -> None:
    """Choose the newest where neither the session nor the address names one that exists; or the one just started.

    An empty address is filled, so that it can be copied; one that names none is cleared by the selector itself.
    """
    started = st.session_state.pop(STARTED[key], None) if key in STARTED else None
    if started in known:
        if key not in st.session_state:  # a selector that stands on the page already writes its address itself
            st.query_params[key] = started
        st.session_state[key] = started
        return
    named = st.session_state.get(key) or st.query_params.get(key)
    if named is None:
        st.query_params[key] = known[0]
    if named not in known:
        st.session_state[key] = known[0]
