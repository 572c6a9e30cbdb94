"""Driving a run: pause, stop, resume, and the strength while it trains.

A click writes a wish into the run folder; the worker grants it at the next step. What the buttons say follows from the
wishes that stand, so that a second click on Stop is the one that kills.
"""

import streamlit as st

from winnow.dashboard.frames import events
from winnow.dashboard.shared.formatting import plain, power, sentence
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, WorkFolder

CHECKPOINTED = "StopRequest after this step, with a checkpoint. Killing loses what came after the last one."
EVERY = 1.0  # seconds until a granted strength is said
OF = "strength_of"  # the run whose strength stands in the input


def controls(run: Run) -> None:
    """Draw the buttons that make sense in the state of the run."""
    status = run.status
    if status.state in LIVE and status.requested is not None:
        with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
            _pause(run)
            stop(run, CHECKPOINTED)
            _strength(run)
    elif status.state in (*LIVE, "stopped", "lost"):
        resume(run, "Start training" if status.state == "queued" else "Resume training")


def _pause(run: Run) -> None:
    paused = run.control().pause
    st.button(
        "Resume" if paused else "Pause",
        key="pause",
        icon=":material/play_arrow:" if paused else ":material/pause:",
        on_click=_ask,
        args=(run,),
        kwargs={"pause": not paused},
    )


def _ask(run: Run, **wishes: object) -> None:
    """Write the wishes; one that makes no sense is said and changes nothing."""
    try:
        run.ask(**wishes)
    except ValueError as error:
        st.toast(sentence(str(error)), icon=":material/error:")


def stop(work: WorkFolder, ending: str) -> None:
    """Offer to stop a live worker; once that is asked, say in a sentence how it ends, and offer to kill it."""
    if not work.control().stop:
        st.button("Stop", key="stop", icon=":material/stop:", on_click=launch.stop, args=(work,))
        return
    st.button("Kill now", key="kill", type="primary", icon=":material/dangerous:", on_click=_kill, args=(work,))
    st.caption(ending)


def _kill(work: WorkFolder) -> None:
    if not launch.kill(work):
        st.toast("There is no process to end any more.", icon=":material/info:")


def _strength(run: Run) -> None:
    """Ask for another strength; it is sent only when applied."""
    standing = run.control().strength
    if st.session_state.get(OF) != run.id:
        st.session_state[OF] = run.id
        st.session_state["strength_input"] = standing if standing is not None else events.strength_in_force(run)
    st.number_input(
        "Strength λ", min_value=0.0, step=1e-4, format="%.2e", key="strength_input", on_change="ignore", width=190
    )
    st.button("Apply", key="apply", icon=":material/check:", on_click=_apply, args=(run,))
    st.fragment(_standing, run_every=EVERY)(run)


def _standing(run: Run) -> None:
    """Say which strength holds, which is asked for, and where it was changed; the worker may grant it at any time."""
    asked, force = run.control().strength, events.strength_in_force(run)
    facts = [f"in force {power(force)}"]
    if asked is not None and power(asked) != power(force):
        facts.append(f"{power(asked)} asked for, from the next step")
    changes = events.changes(run)
    changed = [f"{power(to)} at epoch {at:.1f}" for at, to in zip(changes["at"], changes["strength"], strict=True)]
    if run.spec.penalty.target is not None:
        facts.append("the target moves λ on from what you apply, until the refit")
    if changed:
        facts.append(f"changed to {', '.join(changed)}")
    st.caption(plain(" · ".join(facts)))


def _apply(run: Run) -> None:
    _ask(run, strength=st.session_state["strength_input"])


def resume(work: WorkFolder, word: str) -> None:
    """Offer, in a word, to start the worker of what waits, was stopped or was lost."""
    if not st.button(word, key="resume", type="primary", icon=":material/play_arrow:"):
        return
    try:
        launch.start(work)
    except (launch.JobError, OSError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    st.rerun()
