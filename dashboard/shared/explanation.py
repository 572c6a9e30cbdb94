"""The explanation that a page is about: which one, where it stands, whether it can be believed."""

import streamlit as st

from winnow.dashboard.frames import explanations, trust
from winnow.dashboard.shared.formatting import STATES, Colour, moment, plain, sentence, state_word
from winnow.dashboard.shared.formatting import asked as strength
from winnow.dashboard.shared.selection import EXPLANATION, keep
from winnow.engine.explain.checks import badges
from winnow.engine.runs import launch
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

STARTED = "explanation_to_show"
BADGES: dict[badges.Colour, tuple[str, str, Colour]] = {
    "green": ("holds", ":material/verified:", "green"),
    "amber": ("holds in part", ":material/rule:", "orange"),
    "red": ("does not hold", ":material/gpp_bad:", "red"),
    "grey": ("not checked", ":material/help:", "gray"),
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
    "Green: the weaker of the two rank correlations with ablation, of relevance and of the tasks' shares, is 0.7 or "
    "more. Amber: 0.4 or more, or the shares outlive shuffled heads, or deletion is no worse than random in more than "
    "one of twenty curves. Red: less. Grey: nothing was ablated."
)


def chosen(run: Run) -> DerivedJob | None:
    """Let the user choose an explanation of a run, the newest whole one at first; None where there is none."""
    works = {work.id: work for work in explanations.explanations(run)}
    if not works:
        return None
    _best_unless_chosen(works)
    identity = st.selectbox(
        "Explanation",
        list(works),
        format_func=lambda name: _called(works[name]) if name in works else name,
        index=None,
        required=True,
        key=EXPLANATION,
        bind="query-params",
        label_visibility="collapsed",
        width=440,
    )
    keep()
    return works.get(identity or "") or explanations.best(list(works.values()))


def standing(work: DerivedJob, drawn: str, named: bool = False) -> None:
    """Say where an explanation stands while it is made or if it failed; when that changes, draw the whole page.

    `named`: say which explanation this is, where the page shows another one.
    """
    status = work.status
    if status.state != drawn:
        st.rerun()
    _, icon, colour = STATES[status.state]
    if status.state in LIVE:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(state_word(status), icon=icon, color=colour)
            st.progress(
                min(max(status.progress, 0.0), 1.0),
                text=plain(f"{_called(work)}: {status.phase}" if named else status.phase),
                width="stretch",
            )
            _end(work)
    elif status.state in ("stopped", "lost"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(state_word(status), icon=icon, color=colour)
            st.caption("What was measured until then stands below.", width="content")
            _go_on(work)
    if status.message:
        tell = st.error if status.state == "failed" else st.info
        tell(sentence(status.message), icon=icon if status.state == "failed" else ":material/info:")


def badge(work: DerivedJob, method: str, tasks: tuple[str, ...] = ()) -> None:
    """Say whether what a method says of some tasks holds, by the engine's rules, with its figures."""
    colour, words = trust.verdict(work, method, tasks)
    name, icon, shown = BADGES[colour]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(name, icon=icon, color=shown, help=RULES)
        st.caption(plain(words), width="stretch")


def provenance(run: Run, work: DerivedJob, method: str, tasks: tuple[str, ...] = ()) -> str:
    """Return what a screenshot must carry to stay true: run, explanation, method, images, what was explained, badge."""
    asked = explanations.asked(work)
    colour, _ = trust.verdict(work, method, tasks)
    known = explanations.table(work, "faithfulness")
    images = int(known["images"].max()) if len(known) else asked.images
    facts = [run.spec.name, run.id, strength(run.spec.penalty), method, f"{images} {asked.split} images"]
    facts += [f"of the {asked.of}", f"against {asked.fill}", f"faithfulness: {BADGES[colour][0]}", work.id]
    return plain(" · ".join(facts))


def _best_unless_chosen(works: dict[str, DerivedJob]) -> None:
    """Choose the best explanation where neither session nor address names one of this run; or the one just started."""
    started = st.session_state.pop(STARTED, None)
    named = started or st.session_state.get(EXPLANATION) or st.query_params.get(EXPLANATION)
    best = explanations.best(list(works.values()))
    if (named in works and not started) or best is None:
        return
    shown = named if named in works else best.id
    st.query_params[EXPLANATION] = shown
    st.session_state[EXPLANATION] = shown


def _called(work: DerivedJob) -> str:
    """Say when an explanation was made, of what, and how it ended."""
    asked, status = explanations.asked(work), work.recorded_status()
    layers = " …".join([asked.layers[0], ""][: len(asked.layers)]) if asked.layers else "all layers"
    more = f" and {len(asked.methods) - 1} more" if len(asked.methods) > 1 else ""
    glyph = STATES[status.state][0]
    return f"{glyph} {moment(status.started or status.requested)} · {layers} · {METHODS[asked.methods[0]]}{more}"


def _end(work: DerivedJob) -> None:
    if not work.control().stop:
        st.button("Stop", key=f"explain_stop_{work.id}", icon=":material/stop:", on_click=launch.stop, args=(work,))
        return
    st.button(
        "Kill now",
        key=f"explain_kill_{work.id}",
        type="primary",
        icon=":material/dangerous:",
        on_click=_kill,
        args=(work,),
    )


def _kill(work: DerivedJob) -> None:
    if not launch.kill(work):
        st.toast("There is no process to end any more.", icon=":material/info:")


def _go_on(work: DerivedJob) -> None:
    if not st.button("Go on", key=f"explain_resume_{work.id}", icon=":material/play_arrow:"):
        return
    try:
        launch.start(work)
    except (launch.JobError, OSError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    st.rerun()
