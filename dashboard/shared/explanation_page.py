"""What the Tasks and the Explain page have in common: the run, its explanation, how far that is, and a new one."""

from collections.abc import Callable

import streamlit as st

from winnow.dashboard.figures.cell_points import picked
from winnow.dashboard.forms.explain import new_explanation
from winnow.dashboard.forms.widgets import folded_form
from winnow.dashboard.frames import explanations
from winnow.dashboard.frames.run_images import imageless, no_images
from winnow.dashboard.shared import address, explanation
from winnow.dashboard.shared.address import EXPLANATION
from winnow.dashboard.shared.choosing import ELSEWHERE, gone
from winnow.dashboard.shared.run_bar import ENDED, frozen, readable, redrawn, run_bar, same_as_before
from winnow.dashboard.shared.selection import Selected, select, selected
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

EVERY = 3.0  # seconds between two drawings of a live explanation
EMPTY = (
    "This run has not been explained yet. An explanation measures how much each task relies on each channel that the "
    "tasks share, and checks the answer by switching channels off. It never changes the run."
)
NEVER = (
    "This run ended before its first checkpoint was stored, so there is no network to explain. The Train page says why "
    "it ended, and starts it again."
)
NO_CHECKPOINT = "There is nothing to explain yet: the first checkpoint of a run is stored after its first epoch."


def explained(views: Callable[[DerivedJob, Run], None]) -> None:
    """Draw a page about an explanation of the chosen run; `views` draws what is particular to it."""
    if (bar := run_bar(EXPLANATION)) is None:
        return
    run, beside = bar
    with beside:
        if not readable(run):
            return
        work, some = explanation.chosen_explanation(run)
        live = [other for other in explanations.explanations(run) if other.status.state in LIVE]
        held = frozen(bool(live))
    if work is None:
        _unchosen(run, some)
        return
    same_as_before(work)
    for other in [work, *(other for other in live if other.id != work.id)]:
        every = EVERY / 2 if live else None
        redrawn(explanation.explanation_progress, every, other, other.status.state, named=other.id != work.id)
    if explanations.begun_explanations(work):
        redrawn(views, EVERY if live and not held else None, work, run)
    elif live:
        st.info("The first shares appear here within half a minute.", icon=":material/hourglass_empty:")
    st.space("small")
    folded_form("Explain this run again", "explain_again", lambda: _form(run))


def cell_of(work: DerivedJob) -> Selected:
    """Return the selected cell if the explanation has it: its cells are the input channels of layers."""
    return selected(explanations.explained_layers(work), "input", "this explanation")


def click(work: DerivedJob) -> Callable[[list[object]], None]:
    """Return what turns clicked points into the selected cell."""

    def take(points: list[object]) -> None:
        found = picked([point for point in points if isinstance(point, dict)], explanations.explained_layers(work))
        if found is not None:
            select(found)

    return take


def layer_of(work: DerivedJob, key: str) -> str:
    """Let the user look at one layer only; "" for all of them."""
    names = [layer.name for layer in explanations.explained_layers(work)]
    chosen: str = st.selectbox(
        "Layer",
        ["", *names],
        format_func=lambda name: name or "all layers",
        label_visibility="collapsed",
        width=300,
        **address.following(key, ["", *names], ""),
    )
    return chosen


def _unchosen(run: Run, some: bool) -> None:
    """Say that the explanation is gone, or waits to be chosen; else what to do where there is none, and its cost."""
    if address.named(EXPLANATION):
        gone(EXPLANATION, f"of run {run.id}", others=some)
        return
    if some:
        st.info(ELSEWHERE.format("an explanation"), icon=":material/notifications:")
    if not manifests(run.path / "weights"):
        st.info(NEVER if run.status.state in ENDED else NO_CHECKPOINT, icon=":material/hourglass_empty:")
        return
    st.subheader("What does each task rely on?", anchor=False)
    if not imageless(run) and not some:
        st.markdown(EMPTY)
    _form(run)


def _form(run: Run) -> None:
    """Offer an explanation, or say why the run can't be explained."""
    if imageless(run):
        st.info(no_images(run), icon=":material/hide_image:")
        return
    if work := new_explanation(run):
        address.address_moved({EXPLANATION: work.id})
    st.markdown(f"Or in a terminal: `winnow explain {run.id}`")
