"""Driving a run: pause, stop, resume, and the strength and the target while it trains.

A click writes a request into the run folder; the worker grants it at the next step. What the buttons say follows from
the requests that are there, so that a second click on Stop is the one that kills.
"""

from typing import Literal

import streamlit as st

from winnow.dashboard.frames import events
from winnow.dashboard.shared.formatting import COUNTED, plain, power, sentence
from winnow.dashboard.shared.run_bar import act, redrawn
from winnow.dashboard.shared.showing import show
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED, WorkFolder

STOPPING = (
    "The run stops after this step and stores a checkpoint. Kill it to end it at once: what came after the last "
    "checkpoint is lost."
)
EVERY = 1.0  # seconds until a granted strength is said
OF = "strength_of"  # the run whose strength stands in the input
DOUBTED = "strength_doubted"  # (run, strength) that was asked for and lies beyond λ_max
TARGET_OF = "target_of_run"  # the run whose target stands in the input
SETTLED = "The refit has begun: the zeros are fixed, and the target can't be changed any more."
LATE = (
    "λ follows the new target from the next step on. If it is not met when the refit begins, the smallest "
    "groups are set to zero. With a lower target, zeros come back only where the loss pulls at them."
)


def controls(run: Run) -> None:
    """Draw the buttons that make sense in the state of the run."""
    status = run.status
    if status.state in LIVE and status.requested is not None:
        with st.container(horizontal=True, vertical_alignment="bottom", key="controls"):
            _pause(run)
            stop_button(run, "")
            _strength(run)
            if run.spec.penalty.target is not None and not _in_refit(run):
                _target(run)
        _said(run)
    elif status.state in (*LIVE, *UNFINISHED):
        resume(run, "Start training" if status.state == "queued" else "Resume training")


def _said(run: Run) -> None:
    """Say below the buttons what was asked for and what holds: beside them, a sentence has no room."""
    if run.control().stop:
        st.caption(STOPPING)
    _confirm(run, events.strength_max(run))
    redrawn(_strengths, EVERY, run)
    if run.spec.penalty.target is not None:
        redrawn(_targets_said, EVERY, run)


def _pause(run: Run) -> None:
    paused = run.control().pause
    st.button(
        "Resume" if paused else "Pause",
        key="pause",
        icon=":material/play_arrow:" if paused else ":material/pause:",
        on_click=act,
        args=(run, lambda: run.ask(pause=not paused)),
    )


def stop_button(work: WorkFolder, ending: str, key: str = "") -> None:
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
    """Ask for another strength, by a slider up to λ_max or as a number; Enter or Apply sends it."""
    requested = run.control().strength
    if st.session_state.get(OF) != run.id or "strength_input" not in st.session_state:  # another page drops a field
        st.session_state[OF] = run.id
        st.session_state["strength_input"] = requested if requested is not None else events.strength_in_force(run)
    most = events.strength_max(run)
    if most is not None:
        _slider(most)
    with st.form("strength_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Strength λ",
            min_value=0.0,
            step=1e-4,
            format="%.2e",
            key="strength_input",
            width=190,
        )
        st.form_submit_button(
            "Apply", key="apply", icon=":material/check:", on_click=_apply, args=(run, most),
            help="Enter in the field does the same",
        )  # fmt: skip
    _undo(run)


def _slider(most: float) -> None:
    """Draw the strengths from λ_max down to a ten-thousandth of it, evenly on a log scale, and 0."""
    grid = strengths_below(most)
    now = float(st.session_state["strength_input"])
    show("strength_slider", min(grid, key=lambda value: abs(value - now)), *grid)

    def move() -> None:
        st.session_state["strength_input"] = st.session_state["strength_slider"]

    st.select_slider(
        "λ, up to λ_max",
        grid,
        key="strength_slider",
        format_func=power,
        on_change=move,
        width=300,
        help=f"λ_max is {power(most)}: there the penalty outweighs the loss in every group. Move it, then apply.",
    )


def strengths_below(most: float) -> list[float]:
    """Return the strengths of the slider: 0, then four decades up to λ_max, ten a decade, with two digits."""
    return [0.0, *(float(f"{most * 10 ** (step / 10 - 4):.2g}") for step in range(40)), most]


def _apply(run: Run, most: float | None) -> None:
    """Ask for the strength in the field; one beyond λ_max is asked about first."""
    asked = float(st.session_state["strength_input"])
    if most is not None and asked > most:
        st.session_state[DOUBTED] = (run.id, asked)
        return
    st.session_state.pop(DOUBTED, None)
    act(run, lambda: run.ask(strength=asked))


def _confirm(run: Run, most: float | None) -> None:
    """Ask whether a strength beyond λ_max is meant: all groups that it reaches die, and many never revive."""
    of, asked = st.session_state.get(DOUBTED, ("", 0.0))
    if most is None or of != run.id:
        return
    st.warning(
        f"{power(asked)} is {asked / most:.3g} times λ_max. In every group, the penalty outweighs the loss: "
        "expect the whole network to die. Groups that are dead on both sides of a channel never revive.",
        icon=":material/warning:",
    )
    with st.container(horizontal=True):
        st.button("Apply it anyway", key="strength_sure", on_click=_sure, args=(run, asked))
        st.button("Keep the strength", key="strength_keep", on_click=lambda: st.session_state.pop(DOUBTED, None))


def _sure(run: Run, asked: float) -> None:
    st.session_state.pop(DOUBTED, None)
    act(run, lambda: run.ask(strength=asked))


def _undo(run: Run) -> None:
    """Offer the strength that was asked for before the last one."""
    before = events.strength_before(run)
    if before is None:
        return

    def back() -> None:
        st.session_state["strength_input"] = before
        _apply(run, events.strength_max(run))

    st.button(
        f"Undo: back to {power(before)}", key="strength_undo", icon=":material/undo:", type="tertiary", on_click=back
    )


def _strengths(run: Run) -> None:
    """Say which strength is in force, which is requested, and where it was changed; a request is granted any time."""
    requested, force = run.control().strength, events.strength_in_force(run)
    facts = [f"in force: {power(force)}"]
    penalty, asked_for = run.spec.penalty, events.strength_asked(run)
    mover = (
        "the target continues"
        if penalty.target is not None
        else "learning continues"
        if penalty.learned != "no"
        else ""
    )
    if requested is not None and power(requested) not in (power(asked_for), power(force)):
        facts.append(f"requested: {power(requested)}, from the next step on")
    elif not mover and power(force) != power(asked_for):
        facts.append(
            f"{power(asked_for)} is requested: the warm-up and the ramp lead up to it, the refit has no penalty"
        )
    changes = events.strength_changes(run)
    changed = [f"{power(to)} at epoch {at:.1f}" for at, to in zip(changes["at"], changes["strength"], strict=True)]
    if mover:
        facts.append(f"{mover} to move λ from what you apply, until the refit")
    if changed:
        facts.append(f"changed to {', '.join(changed)}")
    st.caption(plain(" · ".join(facts)))


def _target(run: Run) -> None:
    """Ask for another target."""
    requested, asked = run.control().target, events.targets_asked(run)
    if st.session_state.get(TARGET_OF) != run.id or "target_input" not in st.session_state:
        st.session_state[TARGET_OF] = run.id
        st.session_state["target_input"] = requested if requested is not None else asked[-1]
    with st.form("target_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            f"Target [% of the {COUNTED[run.spec.penalty.target_of]}]",
            min_value=0.1,
            max_value=99.9,
            step=5.0,
            format="%.4g",
            key="target_input",
            width=190,
            help=LATE,
        )
        st.form_submit_button("Apply", key="target_apply", icon=":material/check:", on_click=_apply_target, args=(run,))
    if len(asked) > 1:
        st.button(
            f"Undo: back to {asked[-2]:g} %",
            key="target_undo",
            icon=":material/undo:",
            type="tertiary",
            on_click=_target_back,
            args=(run, asked[-2]),
        )


def _in_refit(run: Run) -> bool:
    share, status = run.spec.penalty.refit_share, run.recorded_status()
    return share > 0 and status.progress >= 1 - share


def _apply_target(run: Run) -> None:
    target = float(st.session_state["target_input"])
    act(run, lambda: run.ask(target=target))


def _target_back(run: Run, before: float) -> None:
    st.session_state["target_input"] = before
    _apply_target(run)


def _targets_said(run: Run) -> None:
    """Say which target holds, which is requested, and where it was changed; a request is granted any time.

    In the refit, it is settled.
    """
    if _in_refit(run):
        st.caption(SETTLED)
        return
    requested, asked = run.control().target, events.targets_asked(run)
    facts = [f"target in force: {asked[-1]:g} %"]
    if requested is not None and requested != asked[-1]:
        facts.append(f"requested: {requested:g} %, from the next step on")
    changes = events.target_changes(run)
    changed = [f"{to:g} % at epoch {at:.1f}" for at, to in zip(changes["at"], changes["target"], strict=True)]
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
