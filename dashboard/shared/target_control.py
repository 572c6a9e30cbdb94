"""The target of a live run, changed while it trains: a number to apply, the way back, and what becomes of it."""

import streamlit as st

from winnow.dashboard.frames import events
from winnow.dashboard.shared.formatting import COUNTED, plain
from winnow.dashboard.shared.run_bar import act, redrawn
from winnow.engine.runs.run import Run

EVERY = 1.0  # seconds until a granted target is said
OF = "target_of_run"  # the run whose target stands in the input
SETTLED = "The refit has begun: the zeros are settled, and the target can't be changed any more."
LATE = (
    "λ follows the new target from the next step on. What is still missing when the refit begins is cut by norm. Zeros "
    "beyond a lower target come back only where the loss pulls at them."
)


def target_control(run: Run) -> None:
    """Ask for another target, and say which one holds; in the refit, say that it is settled."""
    if _in_refit(run):
        st.caption(SETTLED)
        return
    requested, asked = run.control().target, events.targets_asked(run)
    if st.session_state.get(OF) != run.id:
        st.session_state[OF] = run.id
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
        st.form_submit_button("Apply", key="target_apply", icon=":material/check:", on_click=_apply, args=(run,))
    if len(asked) > 1:
        st.button(
            f"Undo: back to {asked[-2]:g} %",
            key="target_undo",
            icon=":material/undo:",
            type="tertiary",
            on_click=_back,
            args=(run, asked[-2]),
        )
    redrawn(_said, EVERY, run)


def _in_refit(run: Run) -> bool:
    share, status = run.spec.penalty.refit_share, run.recorded_status()
    return share > 0 and status.progress >= 1 - share


def _apply(run: Run) -> None:
    target = float(st.session_state["target_input"])
    act(run, lambda: run.ask(target=target))


def _back(run: Run, before: float) -> None:
    st.session_state["target_input"] = before
    _apply(run)


def _said(run: Run) -> None:
    """Say which target holds, which is requested, and where it was changed; a request is granted any time."""
    requested, asked = run.control().target, events.targets_asked(run)
    facts = [f"target in force: {asked[-1]:g} %"]
    if requested is not None and requested != asked[-1]:
        facts.append(f"requested: {requested:g} %, from the next step on")
    changes = events.target_changes(run)
    changed = [f"{to:g} % at epoch {at:.1f}" for at, to in zip(changes["at"], changes["target"], strict=True)]
    if changed:
        facts.append(f"changed to {', '.join(changed)}")
    st.caption(plain(" · ".join(facts)))
