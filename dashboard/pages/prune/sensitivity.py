"""How much can each layer lose? Analyses of a run's layers: one to start, its map, and the shares that it suggests."""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures.layer_heatmaps import MOST_MAPS, SENSITIVITY_READING, sensitivity_map
from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.forms.widgets import field_row, folded_form, shut_form
from winnow.dashboard.frames.answers.of_pruning import sensitivity_answer
from winnow.dashboard.frames.layer_sensitivity import (
    images_of_cuts,
    layer_falls,
    sensitivities,
    sensitivity_called,
    sensitivity_spec,
    suggestions,
)
from winnow.dashboard.frames.log import tail
from winnow.dashboard.frames.run_images import only_sampled
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import PRUNING, SENSITIVITY
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.choosing import ELSEWHERE, Selector, chosen_of, gone
from winnow.dashboard.shared.controls import resume, stop_button
from winnow.dashboard.shared.formatting import CRITERIA, plain, sentence
from winnow.dashboard.shared.panel import Chart, draw, explain, source
from winnow.dashboard.shared.progress import message, state_line
from winnow.dashboard.shared.run_bar import redrawn, same_as_before
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED, State
from winnow.engine.specs.sensitivity import SensitivitySpec

EVERY = 2.0  # s between two looks at a live analysis
ABOUT = (
    "Which layers can lose channels, and which can't? Each layer alone is cut to several shares of its channels, and "
    "every task is judged on validation images each time. Nothing is trained, and the run is not changed. It takes "
    "about as long as validating the network once per layer and share."
)
SUGGESTED = (
    "One row per layer: the largest share of its channels whose removal alone costs each task no more than the "
    "tolerance. Saved: what this cut alone saves of the network, in addition to what nothing uses. Cost: the fall of "
    "the task that loses most; where nothing is suggested, that of the smallest cut."
)
SAMPLED = (
    "Channels are cut by their norms. To cut by relevance, training images are needed, and this run stores only a "
    "sample of its validation images."
)
STOPPING = "The analysis stops after this cut. The layers that it has finished are kept."


def sensitivity_view(run: Run, waits: str) -> None:
    """Draw the analyses of a run; `waits` says why none can be started now, if so."""
    known = sensitivities(run)
    if waits:
        st.info(waits, icon=":material/hourglass:")
    else:
        _new(run, len(known))
    names = {name: sensitivity_called(found) for name, found in known.items()}
    shown = known.get(chosen_of(Selector(SENSITIVITY, "Analysis", 380), names) or "")
    if shown is None:
        if address.named(SENSITIVITY):
            gone(SENSITIVITY, f"of run {run.id}", others=bool(known))
        elif known:
            st.info(ELSEWHERE.format("an analysis"), icon=":material/notifications:")
        return
    same_as_before(shown)
    state = shown.status.state
    every = EVERY if state in LIVE else None
    redrawn(_progress, every, shown, state)
    redrawn(_results, every, shown, run)


def _new(run: Run, others: int) -> None:
    """Offer a new analysis; open where there is none yet."""
    if not others:
        st.info(ABOUT, icon=":material/stacked_bar_chart:")
    key = f"new_sensitivity_{run.id}"
    folded_form("New analysis", key, lambda: _form(run, key), expanded=not others)


def _form(run: Run, key: str) -> None:
    sampled = only_sampled(run)
    if sampled:
        st.caption(SAMPLED)
    first, images = ([], []) if sampled else (["criterion"], ["relevance_images"])
    values = field_row(SensitivitySpec, [*first, "shares", "images", "tolerance"], form="sensitivity")
    values |= field_row(SensitivitySpec, [*images, "threads", "device"], "Measuring", "sensitivity")
    if st.button("Analyse the layers", key="sensitivity_submit", type="primary", icon=":material/play_arrow:"):
        started = start_job(run, {"kind": "sensitivity", **values}, str(values.get("criterion", "norm")))
        if started:
            shut_form(key)
            address.address_moved({SENSITIVITY: started.id})


def _progress(shown: DerivedJob, drawn: State) -> None:
    """Draw the state; when it is no longer the one that the page was drawn with, draw the page."""
    status = shown.status
    if status.state != drawn:
        st.rerun()
    state_line(status, [plain(shown.id)])
    if status.state in LIVE and status.requested is not None:
        st.progress(min(max(status.progress, 0.0), 1.0), text=plain(status.phase[:1].upper() + status.phase[1:]))
        stop_button(shown, STOPPING, "sensitivity_")
    elif status.state in (*LIVE, *UNFINISHED):
        resume(shown, "Start again", "sensitivity_")
    message(status)
    if status.state == "failed" and (text := tail(shown.path / "log.txt")):
        st.code(text, language=None, height=260, wrap_lines=True)


def _results(shown: DerivedJob, run: Run) -> None:
    """Draw the sentence, the map and the suggested shares."""
    falls, spec = layer_falls(shown), sensitivity_spec(shown)
    if falls.empty or spec is None:
        if shown.status.state in LIVE:
            st.info("The first rows appear once the first layer has been cut.", icon=":material/hourglass:")
        return
    tolerance = st.number_input(
        "Tolerance [%]",
        min_value=0.0,
        max_value=1000.0,
        value=spec.tolerance,
        step=0.5,
        key=f"tolerance_{shown.id}",
        width=190,
        help="How much of each task's metric a cut of one layer may cost. The squares and the table follow this value.",
    )
    try:
        suggested = suggestions(shown, tolerance)
        answer(sensitivity_answer(falls, suggested, tolerance))
    except ValueError as error:
        st.warning(sentence(str(error)), icon=":material/warning:")
        suggested = suggestions_of_nothing()
    asked = f"{images_of_cuts(shown)} validation images · cut by {CRITERIA[spec.criterion]} · {plain(shown.id)}"
    said = f"{source(run)} · {asked}"
    figure = sensitivity_map(falls, suggested, _tasks(run, falls))
    draw(Chart(figure, falls), "sensitivity", SENSITIVITY_READING, said)
    _table(suggested, said)
    if shown.status.state == "done" and len(suggested):
        _use(run, shown, spec, tolerance)


def suggestions_of_nothing() -> pd.DataFrame:
    """Return no suggestion."""
    return pd.DataFrame({"layer": [], "share": []})


def _tasks(run: Run, falls: pd.DataFrame) -> list[str]:
    """Return the tasks to draw, those of the user's choice where there are many."""
    tasks = list(dict.fromkeys(falls["task"]))
    if len(tasks) <= MOST_MAPS:
        return tasks
    return st.pills(
        f"Tasks, {MOST_MAPS} at most", tasks, selection_mode="multi", default=tasks[:MOST_MAPS], format_func=plain,
        key=f"sensitivity_tasks_{run.id}",
    )  # fmt: skip


def _table(suggested: pd.DataFrame, said: str) -> None:
    config = st.column_config
    st.dataframe(
        suggested,
        key="suggested",
        hide_index=True,
        placeholder="–",
        height="content" if len(suggested) <= 12 else 420,
        row_height=30,
        column_config={
            "share": config.NumberColumn("suggested", format="%.0f %%"),
            "cut": config.NumberColumn("channels gone"),
            "parameters": config.NumberColumn("parameters saved", format="%.2f %%"),
            "macs": config.NumberColumn("MACs saved", format="%.2f %%"),
            "cost": config.NumberColumn("cost", format="%.2f %%"),
            "task": config.TextColumn("to the task"),
        },
    )
    explain(lambda: suggested, "suggested", SUGGESTED, said)


def _use(run: Run, shown: DerivedJob, spec: SensitivitySpec, tolerance: float) -> None:
    """Offer to prune every layer by its suggested share."""
    st.button(
        f"Prune by these shares ({tolerance:g} % tolerated)",
        key="prune_by_sensitivity",
        type="primary",
        icon=":material/content_cut:",
        help="Removes the suggested share of every layer at once, and measures what that costs. To save a given share "
        "of the network instead, choose this analysis in the form of a new pruning.",
    )
    if st.session_state.get("prune_by_sensitivity"):
        values = {"kind": "prune", "criterion": spec.criterion, "sensitivity": shown.id, "tolerance": tolerance}
        if started := start_job(run, values, "sensitivity"):
            address.address_moved({PRUNING: started.id, "prune_view": None})
