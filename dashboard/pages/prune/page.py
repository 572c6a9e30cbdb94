"""What do I ship? A run's prunings: one to start, one to look at, and the files that leave.

The page redraws its parts on their own while a pruning is live, and stands still once it has ended; the run itself is
never changed.
"""

import streamlit as st

from winnow.dashboard.forms.prune import new_pruning
from winnow.dashboard.pages.prune.pruning import pruning as draw_pruning
from winnow.dashboard.shared.formatting import duration, elapsed
from winnow.dashboard.shared.run_bar import run_bar
from winnow.dashboard.shared.run_choice import chosen_pruning, readable, show_pruning
from winnow.engine.runs.derived import derived_jobs
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

NOTHING = (
    "Nothing has been removed from this run yet. Exact zeros, the default, change no output: the network is judged on "
    "the validation images and timed before and after, which takes well under a minute for one like the demo's. "
)
NOT_YET = "Pruning starts from a checkpoint, and this run has none yet: the first is stored after its first epoch."
STILL = "This run is live: pruning starts from its newest checkpoint once it is done, stopped or paused for good."


def page() -> None:
    """Draw the prunings of the chosen run."""
    if (bar := run_bar()) is None:
        return
    run, beside = bar
    with beside:
        known = {found.id: found for found in derived_jobs(run, "prune")}
        shown = known[chosen_pruning(list(known))] if known else None
    if not readable(run):
        return
    _new(run, len(known))
    if shown is not None:
        draw_pruning(run, shown)


def _new(run: Run, others: int) -> None:
    """Offer a new pruning, or say what it waits for; open where there is no other yet."""
    if reason := _waits(run):
        st.info(reason, icon=":material/hourglass:")
        return
    if not others:
        st.info(NOTHING + _refit_cost(run), icon=":material/content_cut:")
    with st.expander("New pruning", expanded=not others, icon=":material/add:", key=f"new_pruning_{others}"):
        if started := new_pruning(run):
            show_pruning(started.id)


def _waits(run: Run) -> str:
    if not manifests(run.path / "weights"):
        return NOT_YET
    return STILL if run.status.state in LIVE else ""


def _refit_cost(run: Run) -> str:
    """Say what an epoch of refit costs, from what one of the training took."""
    status, took = run.recorded_status(), elapsed(run.recorded_status())
    if took is None or not status.epoch:
        return ""
    return (
        f"An epoch of refit takes about as long as one of the training took at most: {duration(took / status.epoch)}."
    )
