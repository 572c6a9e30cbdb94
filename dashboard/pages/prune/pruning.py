"""One pruning: how far it is, what it did, and what can be done with it."""

import streamlit as st

from winnow.dashboard.frames import prunings
from winnow.dashboard.frames.answers import of_pruning
from winnow.dashboard.frames.benches import benches
from winnow.dashboard.frames.certificate import certificate
from winnow.dashboard.frames.exports import exports
from winnow.dashboard.frames.log import tail
from winnow.dashboard.pages.prune import pruning_figures
from winnow.dashboard.pages.prune.before_after import before_after_view
from winnow.dashboard.pages.prune.export import export
from winnow.dashboard.pages.prune.removal import paying, reasons_view, removed_layers_view, sweep_view
from winnow.dashboard.pages.prune.speed import speed_view
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import PRUNING
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.choosing import completed
from winnow.dashboard.shared.controls import resume, stop_button
from winnow.dashboard.shared.formatting import asked_of, plain, sentence
from winnow.dashboard.shared.progress import message, state_line
from winnow.dashboard.shared.run_bar import act, redrawn, there
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED, State, Status
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.prune import PruneSpec

EVERY = 1.0  # s between two looks at a live pruning; its figures are drawn half as often
STOPPING = "The pruning stops after this step; what it has found so far is kept. Kill it to end it at once."
TABS = ("Layers", "Who pays", "What if", "Reasons", "Speed", "Export")


def pruning(run: Run, shown: DerivedJob) -> None:
    """Draw one pruning of a run."""
    spec = _spec(shown)
    state = shown.status.state
    live = state in LIVE
    left, right = st.columns([5, 1], vertical_alignment="top")
    with left:
        redrawn(_progress, EVERY if live else None, shown, run, state)
        _controls(shown)
    if not live:
        with right, st.container(horizontal=True, horizontal_alignment="right"):
            _undo(run, shown)
    if state == "failed" and (text := tail(shown.path / "log.txt")):
        st.code(text, language=None, height=260, wrap_lines=True)
    if spec is not None:
        redrawn(_results, 2 * EVERY if live else None, shown, run)


def _spec(shown: DerivedJob) -> PruneSpec | None:
    """Return what was asked; where it can't be read, say so once."""
    try:
        found = shown.spec
    except (OSError, SpecError, ValueError) as error:
        st.error(f"This pruning can't be shown: {sentence(str(error))}", icon=":material/error:")
        return None
    return found if isinstance(found, PruneSpec) else None


def _progress(shown: DerivedJob, run: Run, drawn: State) -> None:
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
    later = ["the run was trained further since then"] if started and trained and trained > started else []
    return [f"**{plain(asked or shown.id)}**", *later]


def _doing(status: Status) -> str:
    return plain(status.phase[:1].upper() + status.phase[1:])


def _controls(shown: DerivedJob) -> None:
    status = shown.status
    if status.state in LIVE and status.requested is not None:
        stop_button(shown, STOPPING)
    elif status.state in (*LIVE, *UNFINISHED):
        resume(shown, "Start pruning" if status.state == "queued" else "Start again")


def _results(shown: DerivedJob, run: Run) -> None:
    """Draw what is known by now: the first view, and the open tab of the second."""
    if prunings.pruning_metrics(shown).empty:
        if shown.status.state in LIVE:
            st.info("The first figures appear once the dense network has been judged.", icon=":material/hourglass:")
        return
    _answer(run, shown)
    before_after_view(run, shown)
    views = (removed_layers_view, paying, sweep_view, reasons_view, speed_view, export)
    for tab, draw in zip(address.tabs("detail", TABS), views, strict=True):
        if tab.open:
            with tab:
                draw(run, shown)


def _answer(run: Run, shown: DerivedJob) -> None:
    try:
        found = certificate(shown)
    except ValueError:  # the view below says what is wrong with it
        found = None
    costs, changes = pruning_figures.cost_charts(shown)[0].frame, pruning_figures.changes_chart(run, shown).frame
    answer(of_pruning.pruned_answer(costs, changes, found))


def _undo(run: Run, shown: DerivedJob) -> None:
    """Offer to remove a pruning with all it holds, after a second look; the run is as before, it was never changed."""
    with st.popover("Remove this pruning", icon=":material/undo:", type="tertiary"):
        written, timed = exports(run, shown.id), benches(run, shown.id)
        parts = ((len(written), "export", "exports"), (len(timed), "bench", "benches"))
        more = "".join(f" and its {count} {one if count == 1 else many}" for count, one, many in parts if count)
        st.markdown(
            f"This deletes the figures of this pruning, its network{more}. The run stays as it is: it was never "
            "changed."
        )
        st.button(
            "Delete permanently",
            key="undo",
            type="primary",
            icon=":material/delete:",
            on_click=_undone,
            args=(run, shown),
        )


def _undone(run: Run, shown: DerivedJob) -> None:
    """Remove a pruning, and leave it: the page turns to the newest that is left."""
    act(shown, lambda: _remove([*exports(run, shown.id), *benches(run, shown.id), shown]))
    if not there(shown):
        others = {name: value for name, value in address.linked().items() if name != PRUNING}
        address.change({PRUNING: completed([PRUNING], others).get(PRUNING)})


def _remove(works: list[DerivedJob]) -> None:
    """Remove the folders, unless a worker still writes into one."""
    if any(work.status.state in LIVE and work.alive() for work in works):
        raise ValueError("A worker still writes there. Stop it, or wait until it is done.")
    for work in works:
        work.remove()
