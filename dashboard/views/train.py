"""Is the run healthy? Its state, its controls, and its curves while it lives and afterwards.

Three parts redraw on their own: the state every second, the views every two seconds while the run is live and not
frozen, the controls only when used, so that a click never waits for a figure. When the state changes, the whole page is
drawn once more, and a finished run stands still.
"""

import streamlit as st

from dashboard import pages
from dashboard.views.controls import controls
from dashboard.views.progress import phase, progress
from dashboard.views.training import views
from dashboard.views.welcome import welcome
from dashboard.words import sentence
from engine.runs import LIVE, Run, list_runs
from engine.spec import SpecError

EVERY = 2.0  # seconds between two drawings of the figures; a Plotly figure is mounted anew each time
WINDOWS = (0, 5, 10, 20, 50, 100, 500)


def page() -> None:
    """Draw the chosen run."""
    runs = {run.id: run for run in list_runs()}
    if not runs:
        welcome()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        run = runs[_chosen(list(runs))]
        live = run.status.state in LIVE
        frozen, window = _look(live)
    if not _readable(run):
        return
    st.fragment(progress, run_every=EVERY / 2 if live else None)(run, phase(run.status))
    st.fragment(controls)(run)
    st.fragment(views, run_every=EVERY if live and not frozen else None)(run, window)


def _chosen(known: list[str]) -> str:
    """Let the user choose a run, the newest at first."""
    _newest_unless_chosen(known)
    identity = st.selectbox(
        "Run",
        known,
        index=None,
        required=True,  # the newest as default would leave the address, and a copied link would go stale
        key=pages.RUN,
        bind="query-params",
        label_visibility="collapsed",
        width=460,
    )
    return identity if identity in known else known[0]


def _newest_unless_chosen(known: list[str]) -> None:
    """Choose the newest run where neither the session nor the address names one that exists.

    An empty address is filled, so that it can be copied; one that names no run is cleared by the selector itself.
    """
    named = st.session_state.get(pages.RUN) or st.query_params.get(pages.RUN)
    if named is None:
        st.query_params[pages.RUN] = known[0]
    if named not in known:
        st.session_state[pages.RUN] = known[0]


def _readable(run: Run) -> bool:
    """Return whether the spec can be read; one that can't is said here, once, and not in every figure."""
    try:
        return bool(run.spec)
    except (OSError, SpecError, ValueError) as error:
        st.error(f"This run can't be shown: {sentence(str(error))}", icon=":material/error:")
        return False


def _look(live: bool) -> tuple[bool, int]:
    """Ask which epochs to show and, of a live run, whether to stop redrawing; return (frozen, last epochs or 0)."""
    window = st.selectbox(
        "Show",
        WINDOWS,
        format_func=_epochs,
        key="window",
        label_visibility="collapsed",
        width=170,
    )
    frozen = live and st.toggle("Freeze", key="freeze", help="Stop redrawing the figures, to zoom and read in peace")
    return frozen, window


def _epochs(last: int) -> str:
    return f"last {last} epochs" if last else "all epochs"
