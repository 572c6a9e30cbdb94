"""The explanation that a page is about: which one, how far it is, whether it can be believed."""

import streamlit as st

from winnow.dashboard.frames import explanations, trust
from winnow.dashboard.shared.address import EXPLANATION
from winnow.dashboard.shared.choosing import Selector, chosen_of
from winnow.dashboard.shared.controls import resume, stop_button
from winnow.dashboard.shared.formatting import STATES, Colour, isolated, moment, plain, sentence, state_word
from winnow.dashboard.shared.formatting import asked as strength
from winnow.engine.explain.checks import badges
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED

SIGNS: dict[badges.Colour, tuple[str, Colour]] = {
    "green": (":material/verified:", "green"),
    "amber": (":material/rule:", "orange"),
    "red": (":material/gpp_bad:", "red"),
    "grey": (":material/help:", "gray"),
}
METHODS = {
    "taylor": "Taylor",
    "taylor_positions": "Taylor, position by position",
    "gradient_x_activation": "gradient × activation",
    "conductance": "conductance",
    "layer_integrated_gradients": "integrated gradients",
    "internal_influence": "internal influence",
    "deep_lift": "DeepLift",
    "feature_ablation": "feature ablation",
}
RULES = (
    "Two rank correlations with ablation are measured: of relevance, and of the tasks' shares. Green: the weaker one "
    "is 0.7 or more. Amber: it is 0.4 or more; or the shares stay the same when the heads are shuffled; or deletion "
    "is no worse than in random order in more than one of twenty curves. Red: it is less than 0.4. Grey: nothing was "
    "ablated."
)

BEFORE = "What was measured before is shown below."
NOTHING_BEFORE = "It ended before anything was measured."


def chosen_explanation(run: Run) -> tuple[DerivedJob | None, bool]:
    """Let the user choose an explanation of a run, the newest whole one at first.

    Return it, and whether the run has any: it is None where the address names one that is gone, and where the first one
    came after the page was opened, until the user chooses it.
    """
    works = {work.id: work for work in explanations.explanations(run)}
    identity = chosen_of(
        Selector(EXPLANATION, "Explanation", 440), {name: _called(work) for name, work in works.items()}
    )
    return works.get(identity or ""), bool(works)


def explanation_progress(work: DerivedJob, drawn: str, named: bool = False) -> None:
    """Say how far an explanation is while it is made, or why it failed; when its state changes, draw the whole page.

    `named`: say which explanation this is, where the page shows another one.
    """
    status = work.status
    if status.state != drawn:
        st.rerun()
    _, icon, colour = STATES[status.state]
    key = f"explain_{work.id}_"
    if status.state in LIVE:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(state_word(status), icon=icon, color=colour)
            st.progress(
                min(max(status.progress, 0.0), 1.0),
                text=plain(f"{_called(work)}: {status.phase}" if named else status.phase),
                width="stretch",
            )
            stop_button(work, "", key)
    elif status.state in UNFINISHED:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(state_word(status), icon=icon, color=colour)
            st.caption(BEFORE if explanations.begun_explanations(work) else NOTHING_BEFORE, width="content")
            resume(work, "Resume", key, primary=False)
    if status.message:
        tell = st.error if status.state == "failed" else st.info
        tell(sentence(status.message), icon=icon if status.state == "failed" else ":material/info:")


def faithfulness_badge(work: DerivedJob) -> None:
    """Say whether an explanation holds, with the figures behind it: its first method, over all tasks together.

    That is one verdict, and the same on every page; the tasks for which it holds less are named beside it. What is
    said of one task or another method is not a second badge.
    """
    method, tasks = explanations.methods(work)[0], explanations.explained_tasks(work)
    colour, said = trust.verdict(work, method)
    icon, shown = SIGNS[colour]
    what = f"for {tasks[0]}" if len(tasks) == 1 else "over all tasks"
    but = trust.doubted_tasks(work, method)
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key="verdict_explained"):
        st.badge(plain(f"{trust.VERDICTS[colour]} {what}"), icon=icon, color=shown, help=RULES, width="content")
        st.caption(plain(f"But {but}. {said}" if but else said), width="stretch")


def verdict_badge(what: str, colour: badges.Colour, said: str) -> None:
    """Say whether something holds, with the figures behind it."""
    icon, shown = SIGNS[colour]
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.badge(f"{trust.VERDICTS[colour]} for {what}", icon=icon, color=shown, width="content")
        st.caption(plain(said), width="stretch")


def verdict_of(work: DerivedJob, method: str, task: str) -> None:
    """Say whether an explanation holds for one task and method."""
    colour, said = trust.verdict(work, method, (task,))
    named = f"{plain(task)} by {METHODS.get(method, plain(method))}"
    st.caption(f"For {named}: **{trust.VERDICTS[colour]}**. {plain(said)}")


def provenance(run: Run, work: DerivedJob, method: str, tasks: tuple[str, ...] = ()) -> str:
    """Return what a screenshot must carry to stay true: run, explanation, method, images, what was explained, badge."""
    asked = explanations.asked_of_explanation(work)
    colour, _ = trust.verdict(work, method, tasks)
    known = explanations.explanation_table(work, "faithfulness")
    images = int(known["images"].max()) if len(known) else asked.images
    facts = [isolated(run.spec.name), run.id, strength(run.spec.penalty), method, f"{images} {asked.split} images"]
    facts += [f"of the {asked.of}", f"against {asked.fill}"]
    facts += [f"faithfulness {_of(tasks)}: {trust.VERDICTS[colour]}", work.id]
    return plain(" · ".join(facts))


def _of(tasks: tuple[str, ...]) -> str:
    return f"for {', '.join(tasks)}" if tasks else "over all tasks"


def _called(work: DerivedJob) -> str:
    """Say when an explanation was made, of what, and how it ended."""
    asked, status = explanations.asked_of_explanation(work), work.recorded_status()
    layers = " …".join([asked.layers[0], ""][: len(asked.layers)]) if asked.layers else "all layers"
    more = f" and {len(asked.methods) - 1} more" if len(asked.methods) > 1 else ""
    glyph = STATES[status.state][0]
    return f"{glyph} {moment(status.started or status.requested)} · {layers} · {METHODS[asked.methods[0]]}{more}"
