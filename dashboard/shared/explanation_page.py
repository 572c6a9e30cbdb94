"""What the Tasks and the Explain page have in common: the run, its explanation, how that stands, and a new one."""

from collections.abc import Callable
from typing import NoReturn

import streamlit as st

from winnow.dashboard.figures.cell_points import picked
from winnow.dashboard.forms.explain import new_explanation
from winnow.dashboard.frames import explanations
from winnow.dashboard.shared import explanation
from winnow.dashboard.shared.run_bar import run_bar
from winnow.dashboard.shared.run_choice import frozen, readable
from winnow.dashboard.shared.selection import select
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

EVERY = 3.0  # seconds between two drawings of a live explanation
EMPTY = (
    "This run has not been explained yet. An explanation measures how much each task relies on every channel that the "
    "tasks share, and checks that against what switching channels off does. It never changes the run."
)
NO_CHECKPOINT = "There is nothing to explain yet: the first checkpoint of a run is stored after its first epoch."


def explained(views: Callable[[Run, DerivedJob], None]) -> None:
    """Draw a page about an explanation of the chosen run; `views` draws what is particular to it."""
    if (bar := run_bar()) is None:
        return
    run, beside = bar
    with beside:
        if not readable(run):
            return
        work = explanation.chosen(run)
        live = [other for other in explanations.explanations(run) if other.status.state in LIVE]
        still = frozen(bool(live))
    if work is None:
        _first(run)
        return
    shown = [work, *(other for other in live if other.id != work.id)]
    states = tuple(other.status.state for other in shown)
    st.fragment(_standing, run_every=EVERY / 2 if live else None)(shown, states)
    if explanations.begun(work):
        st.fragment(views, run_every=EVERY if live and not still else None)(run, work)
    elif live:
        st.info("The first shares stand here within half a minute.", icon=":material/hourglass_empty:")
    st.space("small")
    with st.expander("Explain this run anew", icon=":material/add:", key="explain_anew"):
        _form(run)


def click(work: DerivedJob) -> Callable[[list[object]], None]:
    """Return what turns clicked points into the linked selection."""

    def take(points: list[object]) -> None:
        found = picked([point for point in points if isinstance(point, dict)], explanations.layers(work))
        if found is not None:
            select(found.layer, found.channel)

    return take


def layer_of(work: DerivedJob, key: str) -> str:
    """Let the user look at one layer only; "" for all of them."""
    names = [layer.name for layer in explanations.layers(work)]
    return st.selectbox(
        "Layer",
        ["", *names],
        format_func=lambda name: name or "all layers",
        key=key,
        label_visibility="collapsed",
        width=300,
    )


def _standing(shown: list[DerivedJob], states: tuple[str, ...]) -> None:
    for place, (work, state) in enumerate(zip(shown, states, strict=True)):
        explanation.standing(work, state, named=place > 0)


def _first(run: Run) -> None:
    """Say what to do where there is no explanation, and what that costs."""
    if not manifests(run.path / "weights"):
        st.info(NO_CHECKPOINT, icon=":material/hourglass_empty:")
        return
    st.subheader("What does each task rely on?", anchor=False)
    st.markdown(EMPTY)
    _form(run)
    st.markdown("Or in a terminal: `winnow explain RUN`")


def _form(run: Run) -> None:
    if work := new_explanation(run):
        _show(work)


def _show(work: DerivedJob) -> NoReturn:
    """Draw the page anew with this explanation, whose selector stands on it already."""
    st.session_state[explanation.STARTED] = work.id
    st.rerun()
