"""Is the run healthy? Its state, its controls, and its curves while it lives and afterwards.

Three parts redraw on their own: the state every second, the views every two seconds while the run is live and not
frozen, the controls only when used, so that a click never waits for a figure. When the state changes, the whole page is
drawn once more, and a finished run stands still.
"""

import streamlit as st

from winnow.dashboard.pages.train.tabs import views
from winnow.dashboard.shared.controls import controls
from winnow.dashboard.shared.progress import phase, progress
from winnow.dashboard.shared.run_bar import run_bar
from winnow.dashboard.shared.run_choice import frozen, readable
from winnow.engine.runs.work_folder import LIVE

EVERY = 2.0  # seconds between two drawings of the figures; a Plotly figure is mounted anew each time
WINDOWS = (0, 5, 10, 20, 50, 100, 500)


def page() -> None:
    """Draw the chosen run."""
    if (bar := run_bar()) is None:
        return
    run, beside = bar
    with beside:
        live = run.status.state in LIVE
        window = _window()
        still = frozen(live)
    if not readable(run):
        return
    st.fragment(progress, run_every=EVERY / 2 if live else None)(run, phase(run.status))
    st.fragment(controls)(run)
    st.fragment(views, run_every=EVERY if live and not still else None)(run, window)


def _window() -> int:
    """Ask how many of the last epochs to show, 0 for all."""
    return st.selectbox(
        "Show",
        WINDOWS,
        format_func=_epochs,
        key="window",
        label_visibility="collapsed",
        width=170,
    )


def _epochs(last: int) -> str:
    return f"last {last} epochs" if last else "all epochs"
