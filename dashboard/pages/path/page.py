"""What does the strength buy? A path to scrub through, a study's tables, and the form for a new one.

A live study redraws its state every second and its results every few; one that has ended does not change any more.
"""

from collections.abc import Sequence

import streamlit as st

from winnow.dashboard.forms.study import new_study
from winnow.dashboard.forms.widgets import folded_form
from winnow.dashboard.frames import studies
from winnow.dashboard.frames.log import tail
from winnow.dashboard.pages.path.path_tabs import path_views
from winnow.dashboard.pages.path.study_tabs import study_views
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import STUDY
from winnow.dashboard.shared.choosing import Selector, chosen_of, gone
from winnow.dashboard.shared.controls import resume, stop_button
from winnow.dashboard.shared.formatting import duration, isolated, plain
from winnow.dashboard.shared.progress import message, state_line
from winnow.dashboard.shared.run_bar import frozen, looked_at, readable, redrawn
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import LIVE, UNFINISHED, State, Status
from winnow.engine.specs.study import PathSpec, StudySpec

EVERY = 5.0  # s between two drawings of a live study's results: its tables are written as often
MOST_NAMED = 9  # levels
EMPTY = (
    "Nothing has been compared yet. A path trains one set of tasks at several sparsities and shows what each one "
    "costs. A study trains several sets of tasks, dense and sparse, with controls and several seeds, and makes the "
    "tables of a paper. A tailoring finds how deep each task needs the trunk. All consist of ordinary runs. Before "
    "anything starts, the plan says how many runs there are and how long they take."
)
WAITING = "The results appear here as soon as the first run has ended."
STOPPING = (
    "Its runs are being stopped, each with a checkpoint. A resumed study continues from there. Kill the study to end "
    "only the study at once: its runs continue."
)


def page() -> None:
    """Draw the chosen study or path."""
    known = {study.id: study for study in studies.studies()}
    if not known:
        _none()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = chosen_of(
            Selector(STUDY, "Study or path", 460), {name: studies.study_called(study) for name, study in known.items()}
        )
        study = known.get(chosen or "")
        live = study is not None and study.status.state in LIVE
        held = frozen(live)
    if study is None:
        gone(STUDY)
    elif readable(study):
        looked_at(study)
        redrawn(_progress, EVERY / 5 if live else None, study, study.status.state)
        redrawn(_results, EVERY if live and not held else None, study)
    st.space("small")
    folded_form("New path or study", "another_study", _form)


def _none() -> None:
    """Say what the page is for, where there is no study yet."""
    if address.named(STUDY):
        gone(STUDY, others=False)
    st.subheader("What does sparsity buy?", anchor=False)
    st.markdown(EMPTY)
    _form()
    st.markdown("Or in a terminal: `winnow path`, `winnow study`, `winnow tailor`")


def _form() -> None:
    if started := new_study():
        address.address_moved({STUDY: started.id})


def _results(study: Study) -> None:
    if not studies.begun(study):
        if study.status.state in LIVE:
            st.info(WAITING, icon=":material/hourglass:")
        return
    if isinstance(study.spec, PathSpec):
        path_views(study, study.spec)
    else:
        study_views(study)


def _progress(study: Study, drawn: State) -> None:
    """Draw the state; when it is no longer the one that the page was drawn with, draw the page."""
    status = study.status
    if status.state != drawn:
        st.rerun()
    state_line(status, [f"**{plain(isolated(study.spec.name))}**", plain(_asked(study.spec)), *_counts(study)])
    if status.state in LIVE and status.requested is not None:
        st.progress(min(max(status.progress, 0.0), 1.0), text=_doing(status))
    message(status)
    _controls(study, status)
    if status.state == "failed" and (text := tail(study.path / "log.txt")):
        st.code(text, language=None, height=220, wrap_lines=True)


def _asked(spec: StudySpec | PathSpec) -> str:
    """Say what a study or path is asked for."""
    grid = [f"{_listed(values)} {unit}" for values, unit in ((spec.targets, "%"), (spec.strengths, "λ_max")) if values]
    seeds = f"{len(spec.seeds)} seed{'s' if len(spec.seeds) > 1 else ''}"
    tasks = "+".join(spec.base.tasks) if isinstance(spec, PathSpec) else ", ".join(map("+".join, spec.task_sets))
    return " · ".join([spec.kind, tasks, *grid, seeds])


def _listed(values: Sequence[float]) -> str:
    """Name the levels of a grid, or its ends where they are many."""
    if len(values) > MOST_NAMED:
        return f"{len(values)} levels from {min(values):g} to {max(values):g}"
    return ", ".join(f"{value:g}" for value in values)


def _counts(study: Study) -> list[str]:
    """Say how many of its runs are in which state."""
    counts = studies.study_table(study, "members")["state"].value_counts(sort=False)
    return [plain(", ".join(f"{count} {state}" for state, count in counts.items()))] if len(counts) else []


def _doing(status: Status) -> str:
    left = f", {duration(status.remaining)} left" if status.remaining is not None else ""
    return plain(f"{status.phase[:1].upper()}{status.phase[1:]}{left}")


def _controls(study: Study, status: Status) -> None:
    if status.state in LIVE and status.requested is not None:
        stop_button(study, STOPPING)
    elif status.state in (*LIVE, *UNFINISHED):
        resume(study, "Start" if status.state == "queued" else "Resume")
