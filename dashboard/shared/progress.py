"""How far a run is: state, epoch, time left, and what it is waiting for; its headline numbers."""

from math import isfinite

import streamlit as st

from winnow.dashboard.frames import channel_states, events
from winnow.dashboard.frames.answers import of_run
from winnow.dashboard.frames.answers.answer import count
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.frames.tables import SPARSITY_TITLES
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.formatting import (
    STATES,
    duration,
    elapsed,
    isolated,
    measured,
    moment,
    plain,
    power,
    sentence,
    state_word,
)
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, Status

CONSTANT = (
    "On the validation images, after the newest epoch. Below: the difference from the best prediction that ignores the "
    "image. A dash: no value was recorded, or no validation image has a label of this task."
)
ZERO = "The share of the penalised layers that is exactly zero. Layers outside the penalty are not counted."
REMEDY = "To keep more of them, use a larger floor or a smaller {}."
MOST_ALARMS = 3  # layers named
TILE = 112  # px: all alike; tiles that stretch run into what is below where they need two rows


def phase(status: Status) -> tuple[str, bool]:
    """Return what, when it changes, asks for the whole page to be drawn anew."""
    return status.state, status.paused


def progress(run: Run, drawn: tuple[str, bool]) -> None:
    """Draw the state; when it is no longer the one that the page was drawn with, draw the page."""
    status = run.status
    if phase(status) != drawn:
        st.rerun()
    _state(run, status)
    answer(of_run.train_answer(summary(run), events.constants(run), course_of(run)))
    if status.state in LIVE and status.requested is not None:
        st.progress(min(max(status.progress, 0.0), 1.0), text=_doing(status))
    message(status)
    _alarms(run)
    _headline(run)


def course_of(run: Run) -> of_run.RunCourse:
    """Return how far a run has come."""
    return of_run.RunCourse(events.epochs_done(run), next(reversed(events.targets_asked(run)), None))


def message(status: Status) -> None:
    """Say what the worker reports, a failure in red."""
    if status.message:
        tell, said = st.error if status.state == "failed" else st.info, sentence(status.message)
        stop = "" if said.endswith((".", "!", "?", "`")) else "."
        tell(f"{said[:1].upper()}{said[1:]}{stop}", icon=STATES[status.state][1])


def state_line(status: Status, facts: list[str]) -> None:
    """Write the state as a badge, and what else is known in one line; `facts` are Markdown."""
    _, icon, colour = STATES[status.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(state_word(status), icon=icon, color=colour)
        st.markdown(" · ".join([*facts, *_times(status)]))


def _times(status: Status) -> list[str]:
    if status.started is None:
        return []
    verb = "for" if status.state in LIVE else "took"
    return [f"started {moment(status.started)}, {verb} {duration(elapsed(status))}"]


def _alarms(run: Run) -> None:
    """Warn of layers that have hardly any group left."""
    found = channel_states.alarms(run)
    if found.empty:
        return
    named = [f"{row.alive} of {row.total} groups left in {row.layer}" for row in found.head(MOST_ALARMS).itertuples()]
    more = f", and few in {count(len(found) - MOST_ALARMS, 'other layer')}" if len(found) > MOST_ALARMS else ""
    remedy = REMEDY.format("strength" if run.spec.penalty.target is None else "target")
    st.warning(plain(f"{', '.join(named)}{more}. {remedy}"), icon=":material/warning:")


def _state(run: Run, status: Status) -> None:
    """Write state, name and pace in one line."""
    known = summary(run)
    facts = [f"**{plain(isolated(run.spec.name))}**", *_sparsity(run)]
    if known.imported:
        facts = [facts[0], f"imported: {plain(known.origin)}"]
    elif status.epoch:
        facts.append(f"epoch {status.epoch} of {status.epochs}")
    if status.state in LIVE and status.images_per_second:
        facts.append(f"{status.images_per_second:.0f} images/s")
    state_line(status, facts)


def _sparsity(run: Run) -> list[str]:
    """Say what is asked of the sparsity, and the strength in force."""
    penalty, force = run.spec.penalty, events.strength_in_force(run)
    now = "refit, no penalty" if penalty.refit_share and not force else f"strength {power(force)}"
    plain_strength = penalty.target is None and penalty.learned == "no"
    return [now] if plain_strength else [plain(events.asked_of_run(run)), now]


def _doing(status: Status) -> str:
    """Say what a live run does now, and how long it will take."""
    if not status.epoch:
        return plain(f"Starting: {status.phase}")
    left = f", {duration(status.remaining)} left" if status.remaining is not None else ""
    return plain(f"{status.phase}: epoch {status.epoch} of {status.epochs}{left}")


def _headline(run: Run) -> None:
    """Show the newest number of each task, against the constant prediction, and the share of groups that are zero."""
    known = summary(run)
    constant = events.constants(run)
    figures = known.main_metrics()
    if not known.newest:
        return
    with st.container(horizontal=True, key="tiles"):
        for task, (metric, value) in figures.items():
            level = constant.get((task, metric.name))
            st.metric(
                f"{plain(task)} · {plain(metric.label)}",
                measured(value, metric.unit),
                None if level is None or not isfinite(value - level) else f"{value - level:+.3g}",
                delta_color="off" if value == level else "normal" if metric.better == "higher" else "inverse",
                delta_arrow="off" if value == level else "auto",
                delta_description=None if level is None else "against constant",
                help=CONSTANT,
                border=True,
                height=TILE,
            )
        for quantity, title in SPARSITY_TITLES.items():
            st.metric(title, measured(known.sparsity(quantity), "%"), help=ZERO, border=True, height=TILE)
