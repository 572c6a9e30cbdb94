"""Driving a run: pause, stop, resume, and the strength while it trains.

A click writes a request into the run folder; the worker grants it at the next step. What the buttons say follows from
the requests that are there, so that a second click on Stop is the one that kills.
"""

from typing import Literal

import streamlit as st

from winnow.dashboard.frames import events
from winnow.dashboard.shared.formatting import plain, power, sentence
from winnow.dashboard.shared.run_bar import act, redrawn
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED, WorkFolder

STOPPING = (
    "The run stops after this step and stores a checkpoint. Kill it to end it at once: what came after the last "
    "checkpoint is lost."
)
EVERY = 1.0  # seconds until a granted strength is said
OF = "strength_of"  # the run whose strength stands in the input


def controls(run: Run) -> None:
    """Draw the buttons that make sense in the state of the run."""
    status = run.status
    if status.state in LIVE and status.requested is not None:
        with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
            _pause(run)
            stop(run, STOPPING)
            _strength(run)
    elif status.state in (*LIVE, *UNFINISHED):
        resume(run, "Start training" if status.state == "queued" else "Resume training")


def _pause(run: Run) -> None:
    paused = run.control().pause
    st.button(
        "Resume" if paused else "Pause",
        key="pause",
        icon=":material/play_arrow:" if paused else ":material/pause:",
        on_click=act,
        args=(run, lambda: run.ask(pause=not paused)),
    )


def stop(work: WorkFolder, ending: str, key: str = "") -> None:
    """Offer to stop a live worker; once that is asked, say in a sentence how it ends, and offer to kill it."""
    if not work.control().stop:
        st.button(
            "Stop",
            key=f"{key}stop",
            icon=":material/stop:",
            on_click=act,
            args=(work, lambda: launch.stop(work)),
        )
        return
    st.button(
        "Kill now",
        key=f"{key}kill",
        type="primary",
        icon=":material/dangerous:",
        on_click=act,
        args=(work, lambda: _kill(work)),
    )
    if ending:
        st.caption(ending)


def _kill(work: WorkFolder) -> None:
    if not launch.kill(work):
        st.toast("The process has ended already.", icon=":material/info:")


def _strength(run: Run) -> None:
    """Ask for another strength; it is sent only when applied."""
    requested = run.control().strength
    if st.session_state.get(OF) != run.id:
        st.session_state[OF] = run.id
        st.session_state["strength_input"] = requested if requested is not None else events.strength_in_force(run)
    st.number_input(
        "Strength λ", min_value=0.0, step=1e-4, format="%.2e", key="strength_input", on_change="ignore", width=190
    )
    st.button(
        "Apply",
        key="apply",
        icon=":material/check:",
        on_click=act,
        args=(run, lambda: run.ask(strength=st.session_state["strength_input"])),
    )
    redrawn(_strengths, EVERY, run)


def _strengths(run: Run) -> None:
    """Say which strength is in force, which is requested, and where it was changed; a request is granted any time."""
    requested, force = run.control().strength, events.strength_in_force(run)
    facts = [f"in force: {power(force)}"]
    targeted, asked_for = run.spec.penalty.target is not None, events.strength_asked(run)
    if requested is not None and power(requested) != power(asked_for):
        facts.append(f"requested: {power(requested)}, from the next step on")
    elif not targeted and power(force) != power(asked_for):
        facts.append(f"{power(asked_for)} is asked for: the warm-up and the ramp lead there, the refit has none")
    changes = events.changes(run)
    changed = [f"{power(to)} at epoch {at:.1f}" for at, to in zip(changes["at"], changes["strength"], strict=True)]
    if targeted:
        facts.append("the target goes on to move λ from what you apply, until the refit")
    if changed:
        facts.append(f"changed to {', '.join(changed)}")
    st.caption(plain(" · ".join(facts)))


def resume(work: WorkFolder, label: str, key: str = "", primary: bool = True) -> None:
    """Offer to start the worker of what waits, or ended early."""
    kind: Literal["primary", "secondary"] = "primary" if primary else "secondary"
    if not st.button(label, key=f"{key}resume", type=kind, icon=":material/play_arrow:"):
        return
    try:
        launch.start(work)
    except (launch.JobError, OSError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    st.rerun()
