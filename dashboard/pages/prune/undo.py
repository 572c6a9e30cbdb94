"""Undo: a pruning is removed with all it holds, and the run is as it was; it was never changed."""

import streamlit as st

from winnow.dashboard.frames.exports import exports
from winnow.dashboard.shared.formatting import sentence
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE


def undo(run: Run, shown: DerivedJob) -> None:
    """Offer to remove a pruning, after a second look."""
    with st.popover("Remove this pruning", icon=":material/undo:", type="tertiary"):
        written = exports(run, shown.id)
        more = f" and its {len(written)} export{'s' if len(written) > 1 else ''}" if written else ""
        st.markdown(f"This deletes its figures, its network{more}. The run stays as it is: it was never changed.")
        st.button(
            "Delete for good", key="undo", type="primary", icon=":material/delete:", on_click=_undo, args=(run, shown)
        )


def _undo(run: Run, shown: DerivedJob) -> None:
    """Remove the folders, unless a worker still writes into one."""
    doomed = [*exports(run, shown.id), shown]
    if any(work.status.state in LIVE and work.alive() for work in doomed):
        st.toast("A worker is still at it: stop it, or wait until it is done.", icon=":material/error:")
        return
    try:
        for work in doomed:
            work.remove()
    except OSError as error:
        st.toast(sentence(str(error)), icon=":material/error:")
