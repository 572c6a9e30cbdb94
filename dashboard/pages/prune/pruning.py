"""One pruning: where it stands, what it did, and what can be done with it."""

import streamlit as st

from winnow.dashboard.frames import prunings
from winnow.dashboard.frames.log import tail
from winnow.dashboard.pages.prune.before_after import before_after
from winnow.dashboard.pages.prune.export import export
from winnow.dashboard.pages.prune.removal import layers, reasons, sweep
from winnow.dashboard.pages.prune.undo import undo
from winnow.dashboard.shared.controls import resume, stop
from winnow.dashboard.shared.formatting import asked_of, plain, sentence
from winnow.dashboard.shared.progress import message, state_line
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, State, Status
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.prune import PruneSpec

EVERY = 1.0  # s between two looks at a live pruning; its figures are drawn half as often
ENDING = "StopRequest after this step; what it has found so far stays. Killing ends it at once."
TABS = ("Layers", "What if", "Reasons", "Export")


def pruning(run: Run, shown: DerivedJob) -> None:
    """Draw one pruning of a run."""
    spec = _spec(shown)
    state = shown.status.state
    live = state in LIVE
    left, right = st.columns([5, 1], vertical_alignment="top")
    with left:
        st.fragment(_standing, run_every=EVERY if live else None)(run, shown, state)
        _controls(shown)
    if not live:
        with right, st.container(horizontal=True, horizontal_alignment="right"):
            undo(run, shown)
    if state == "failed" and (text := tail(shown.path / "log.txt")):
        st.code(text, language=None, height=260, wrap_lines=True)
    if spec is not None:
        st.fragment(_results, run_every=2 * EVERY if live else None)(run, shown)


def _spec(shown: DerivedJob) -> PruneSpec | None:
    """Return what was asked; where it can't be read, say so once."""
    try:
        found = shown.spec
    except (OSError, SpecError, ValueError) as error:
        st.error(f"This pruning can't be shown: {sentence(str(error))}", icon=":material/error:")
        return None
    return found if isinstance(found, PruneSpec) else None


def _standing(run: Run, shown: DerivedJob, drawn: State) -> None:
    """Draw the state; when it is no longer the one that the page was drawn with, draw the page."""
    status = shown.status
    if status.state != drawn:
        st.rerun()
    state_line(status, _facts(run, shown))
    if status.state in LIVE and status.requested is not None:
        st.progress(min(max(status.progress, 0.0), 1.0), text=_doing(status))
    message(status)


def _facts(run: Run, shown: DerivedJob) -> list[str]:
    try:
        asked = asked_of(shown.spec) if isinstance(shown.spec, PruneSpec) else ""
    except (OSError, SpecError, ValueError):
        asked = ""
    started, trained = shown.recorded_status().started, run.recorded_status().started
    later = ["the run was trained on since"] if started and trained and trained > started else []
    return [f"**{plain(asked or shown.id)}**", *later]


def _doing(status: Status) -> str:
    return plain(status.phase[:1].upper() + status.phase[1:])


def _controls(shown: DerivedJob) -> None:
    status = shown.status
    if status.state in LIVE and status.requested is not None:
        stop(shown, ENDING)
    elif status.state in (*LIVE, "stopped", "lost"):
        resume(shown, "Start pruning" if status.state == "queued" else "Start again")


def _results(run: Run, shown: DerivedJob) -> None:
    """Draw what is known by now: the first view, and the open tab of the second."""
    if prunings.metrics(shown).empty:
        if shown.status.state in LIVE:
            st.info("The first figures come once the network has been judged as it is.", icon=":material/hourglass:")
        return
    before_after(run, shown)
    tabs = st.tabs(TABS, key="detail", on_change="rerun", bind="query-params")
    for tab, draw in zip(tabs, (layers, sweep, reasons, export), strict=True):
        if tab.open:
            with tab:
                draw(run, shown)
