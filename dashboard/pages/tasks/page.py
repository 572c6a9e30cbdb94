"""Shared or specific? Where the tasks of a run use the same channels, and where each has its own.

The views are on the left, the selected channel on the right of all of them. Only the open view is drawn: four Plotly
charts at most, the channel's two included.
"""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import (
    circuit_lanes,
    head_use,
    label_bars,
    layer_heatmaps,
    layer_shares,
    lead_bars,
    mask_overlap,
    share_map,
    task_sets,
    ternary,
)
from winnow.dashboard.frames import circuits, explanations, leads, masks, shares, trust
from winnow.dashboard.frames.answers import of_use
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.shared import address, explanation_figures
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.explained_channel import explained_channel
from winnow.dashboard.shared.explanation import faithfulness_badge, provenance, verdict_badge
from winnow.dashboard.shared.explanation_page import cell_of, click, explained, layer_of
from winnow.dashboard.shared.formatting import plain, sentence
from winnow.dashboard.shared.panel import draw, explain, source
from winnow.engine.explain.circuits.tables import circuit_verdict, circuits_answer
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.work_folder import LIVE

TABS = ("Shares", "Layers", "Affinity", "Heads", "Circuits", "Between runs")
TRIANGLE, MAP = "triangle", "map"
CHANNELS, RELEVANCE = "channels", "relevance"
LEADING = (
    "Equal share: one divided by the number of tasks. The strict label names a task only where the upper ends of all "
    "other tasks' shares are below half of an equal share; what is uncertain counts as shared."
)
ALONE = (
    "Do two networks choose the same channels? Compare a run of several tasks with runs of one task each, or those "
    "runs with one another. They must start from the same network."
)
NO_CIRCUITS = (
    "This explanation has no circuits. They take minutes, so they are found on request: explain this run again with "
    "circuits, under Advanced, or run `winnow explain RUN --circuits`."
)
KEPT = (
    "share: edges kept, of all edges whose weight is not zero. faithfulness: part of the loss change that is kept when "
    "all other edges are cut, on images that were not used to find the circuit, with its 95 % interval. completeness: "
    "part that is lost when the circuit itself is cut. random: what as many random edges in each layer keep. missed: "
    "the most that one edge outside changes when it is cut alone. All in %."
)
OVERLAP = (
    "jaccard: edges that both tasks keep, of those that either keeps, in the layers that they share. The 95 % interval "
    "is over images; it starts from the circuits found, so a search from the beginning would spread more. chance: two "
    "random circuits with as many edges in every layer. All in %."
)


def page() -> None:
    """Draw what the tasks of the chosen run share."""
    explained(_tasks)


def _tasks(work: DerivedJob, run: Run) -> None:
    method = explanations.methods(work)[0]
    answer(of_use.tasks_answer(leads.leads(work), explanations.explained_tasks(work), trust.verdict(work, method)[0]))
    faithfulness_badge(work)
    found = cell_of(work)
    left, right = st.columns([2, 1], gap="large")
    with left:
        _views(run, work, found.cell)
    with right:
        explained_channel(run, work, method, found)


def _views(run: Run, work: DerivedJob, chosen: Cell | None) -> None:
    made, method = address.tabs("use", TABS), explanations.methods(work)[0]
    about = provenance(run, work, method)
    for tab, draw_view in zip(made, (_shares, _layers, _affinity, _heads, _circuits), strict=False):
        if tab.open:
            with tab:
                draw_view(work, chosen, about)
    if made[-1].open:
        with made[-1]:
            _between_runs(run)


def _shares(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    """Draw who leads which channels, as a map or between three tasks, and layer by layer; the strict labels beside."""
    _lead_states(work, about)
    with st.container(horizontal=True, vertical_alignment="center"):
        drawn_as = _drawn_as(len(explanations.explained_tasks(work)))
        layer = layer_of(work, "shares_layer") if drawn_as == TRIANGLE else ""
    st.caption(_left_out(work, layer, drawn_as))
    if drawn_as == TRIANGLE:
        draw(explanation_figures.triangle_chart(work, layer, chosen), "shares", ternary.READING, about, click(work))
    else:
        draw(explanation_figures.mapped_chart(work, chosen), "share_map", share_map.READING, about, click(work))
    draw(explanation_figures.led_chart(work), "lead_bars", lead_bars.READING, about)


def _lead_states(work: DerivedJob, about: str) -> None:
    """Say how many channels each task leads, and how many it uses alone by the strict labels."""
    frame = leads.lead_summary(leads.leads(work), explanations.explained_tasks(work))
    st.dataframe(
        frame,
        key="lead_states",
        hide_index=True,
        placeholder="–",
        height="content",
        row_height=30,
        column_config={"channels": st.column_config.TextColumn(width=270)},
    )
    explain(lambda: leads.leads(work), "lead_states", LEADING, about)


def _drawn_as(tasks: int) -> str:
    if tasks != 3:
        return MAP
    return address.segments("drawn_as", "Drawn as", {MAP: MAP, TRIANGLE: TRIANGLE}, MAP, quiet=True)


def _left_out(work: DerivedJob, layer: str, drawn_as: str) -> str:
    """Say how many channels there are, and which of them the triangle leaves out."""
    whole, dead, idle = shares.left_out(work, layer)
    verb = "are left out" if drawn_as == TRIANGLE else "belong to no task"
    more = ternary.said_left_out(shares.cells(work, layer)) if drawn_as == TRIANGLE else ""
    return f"{whole} channels; {dead} dead and {idle} idle ones {verb}. {more}"


def _layers(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    titles = {CHANNELS: CHANNELS, RELEVANCE: RELEVANCE}
    counted = address.segments("counted", "Bars count", titles, CHANNELS, quiet=True)
    if counted == CHANNELS:
        draw(explanation_figures.layered_chart(work), "label_bars", label_bars.READING, about)
    else:
        draw(explanation_figures.leaning_chart(work), "layer_shares", layer_shares.READING, about)
    layer = layer_of(work, "sets_layer")
    draw(explanation_figures.sets_chart(work, layer), "task_sets", task_sets.READING, about)


def _affinity(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    draw(explanation_figures.affinity_chart(work), "layer_affinity", layer_heatmaps.AFFINITY_READING, about)


def _heads(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    draw(explanation_figures.heads_chart(work), "head_use", head_use.READING, about)


def _circuits(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    """Say and draw over which edges each task runs, whether that holds, and how far the tasks share them."""
    figures = explanations.explanation_table(work, "circuit_figures")
    if figures.empty:
        st.info(_no_circuits(work), icon=":material/account_tree:")
        return
    overlaps = explanations.explanation_table(work, "circuit_overlaps")
    tasks = explanations.explained_tasks(work)
    st.markdown(f"**{plain(circuits_answer(figures, overlaps, tasks))}**")
    verdict_badge("circuits", *circuit_verdict(figures))
    draw(explanation_figures.circuits_chart(work, chosen), "circuits", circuit_lanes.READING, about, click(work))
    _table("circuit_figures", lambda: circuits.circuit_summary(work), KEPT, about)
    if len(overlaps):
        _table("circuit_overlaps", lambda: circuits.circuit_overlap(work), OVERLAP, about)


def _no_circuits(work: DerivedJob) -> str:
    """Say what to do where there are no circuits; where they were asked for, why there are none."""
    if not explanations.asked_of_explanation(work).circuits:
        return NO_CIRCUITS
    if work.status.state in LIVE:
        return "The circuits come last: they appear here once all else has been measured."
    why = circuits.circuits_refused(work) or circuits.UNTOLD
    return f"Circuits were asked for, and there are none. {sentence(why)}"


def _table(key: str, frame: Callable[[], pd.DataFrame], reading: str, about: str) -> None:
    st.dataframe(frame().round(1), key=key, hide_index=True, placeholder="–", height="content", row_height=30)
    explain(frame, key, reading, about)


def _between_runs(run: Run) -> None:
    """Let the user choose runs, and draw how far their survivors agree."""
    known = masks.mask_names([run, *masks.comparable(run, list_runs())])
    st.caption(ALONE)
    names = _chosen_runs(run, known)
    chart = explanation_figures.overlap_chart([known[name] for name in names])
    if chart.frame.empty:
        _no_others(len(known))
        return
    draw(chart, "mask_overlap", mask_overlap.READING, source(run))


def _chosen_runs(run: Run, known: dict[str, Run]) -> Sequence[str]:
    """Ask which runs to compare: this one and one for each task that was trained alone, at first."""
    usual = {run.id, *(other.id for other in masks.single(list(known.values())))}
    first = [name for name, other in known.items() if other.id in usual][: masks.MOST_RUNS]
    return st.multiselect(
        "Runs",
        list(known),
        default=first,
        format_func=lambda name: name if name == known[name].id else f"{name} · {known[name].id}",
        max_selections=masks.MOST_RUNS,
        key=f"overlap_{run.id}",
    )


def _no_others(known: int) -> None:
    if known < 2:
        st.info(
            "No other run has a network of this shape. Train one run for each task alone, with the same data, network, "
            "penalty and seed. Each takes about as long as this run did.",
            icon=":material/add_circle:",
        )
    else:
        st.info("Choose two runs or more.", icon=":material/touch_app:")
