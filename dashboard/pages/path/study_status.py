"""Where a study stands: its state, its progress, what it is made of, and the buttons that make sense."""

from collections.abc import Sequence

import streamlit as st

from winnow.dashboard.frames import studies
from winnow.dashboard.frames.log import tail
from winnow.dashboard.shared.controls import resume, stop
from winnow.dashboard.shared.formatting import duration, plain
from winnow.dashboard.shared.progress import message, state_line
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import LIVE, State, Status
from winnow.engine.specs.study import PathSpec, StudySpec

MOST_NAMED = 9  # levels
ENDING = (
    "Stopping its runs, each with a checkpoint; started again, it goes on with them. Killing leaves its runs at work."
)


def standing(study: Study, drawn: State) -> None:
    """Draw the state; when it is no longer the one that the page was drawn with, draw the page."""
    status = study.status
    if status.state != drawn:
        st.rerun()
    state_line(status, [f"**{plain(study.spec.name)}**", plain(asked(study.spec)), *_counts(study)])
    if status.state in LIVE and status.requested is not None:
        st.progress(min(max(status.progress, 0.0), 1.0), text=_doing(status))
    message(status)
    _controls(study, status)
    if status.state == "failed" and (text := tail(study.path / "log.txt")):
        st.code(text, language=None, height=220, wrap_lines=True)


def asked(spec: StudySpec | PathSpec) -> str:
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
    counts = studies.table(study, "members")["state"].value_counts(sort=False)
    return [plain(", ".join(f"{count} {state}" for state, count in counts.items()))] if len(counts) else []


def _doing(status: Status) -> str:
    left = f", {duration(status.remaining)} left" if status.remaining is not None else ""
    return plain(f"{status.phase[:1].upper()}{status.phase[1:]}{left}")


def _controls(study: Study, status: Status) -> None:
    if status.state in LIVE and status.requested is not None:
        stop(study, ENDING)
    elif status.state in (*LIVE, "stopped", "lost"):
        resume(study, "Start" if status.state == "queued" else "Go on")
