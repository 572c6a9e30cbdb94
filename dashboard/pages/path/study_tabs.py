"""The results of a study: the paper's table, paired differences, agreement of seeds, costs, and its runs.

Δ_m is shown in the definition that the study names unless another is chosen, and the one shown is always named.
"""

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.figures import depth_advice, paired_differences, seed_overlap
from winnow.dashboard.frames import differences, studies
from winnow.dashboard.frames.answers import of_study
from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.pages.path import study_figures
from winnow.dashboard.shared import address
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.formatting import isolated, plain
from winnow.dashboard.shared.panel import draw, explain, keyed, tall
from winnow.dashboard.shared.trade_off import pareto_of
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import Definition, StudySpec, TailorSpec
from winnow.engine.studies.reporting_tables import csv_text as text_csv
from winnow.engine.studies.reporting_tables import latex, markdown, paper_table

TABS = ("Table", "Differences", "Trade-off", "Seeds", "Its runs")
DEPTH = "Depth"  # the first view of a tailoring
AGAINST = {"single": "single tasks", "dense": "the dense network"}
DEFINITIONS: dict[Definition, str] = {
    "main": "main metric of each task",
    "task": "all metrics, task by task",
    "metric": "all metrics alike",
}
MEANINGS: dict[Definition, str] = {
    "main": "Δ_m: mean over tasks of the relative gain of the main metric (Vandenhende et al. 2021)",
    "task": "Δ_m: mean over tasks of the mean relative gain of all its metrics (LibMTL)",
    "metric": "Δ_m: mean relative gain over the metrics of all tasks, each counted once (Nash-MTL)",
}
READING = (
    "Mean ± standard deviation over seeds; in the columns of Δ_m, mean and 95 % interval, paired by seed. Positive is "
    "better than the baseline."
)
LATENCY = (
    "One forward pass of a batch on this machine, before and after the removal of what no layer uses: the median over "
    "runs of each run's median. The removal changes no output."
)
ADVICE = (
    "The stage of the deepest layer that is alive in all sparse runs of the task. By seed: the stage that each seed "
    "alone would give. This is a rule of thumb; the comparison below shows whether it helps."
)
COMPARED = (
    "Mean ± standard deviation over seeds. The difference is tailored minus plain, paired by seed, with its 95 % "
    "interval. Both networks are dense and have the same data, epochs, optimiser and seeds."
)
UNSEEN = (
    "Difference of Δ_m, paired by seed, with its 95 % interval. The support is fixed from the first step on, and "
    "training starts from the weights with which it was found. Above 0, it is better than the support that it is "
    "compared with."
)
FILES = {"csv": ("CSV", "text/csv"), "tex": ("LaTeX", "text/x-tex"), "md": ("Markdown", "text/markdown")}
ROWS = "study_runs"
WHO = ("arm", "tasks", "balancing")


def study_views(study: Study) -> None:
    """Draw the open view of a study."""
    spec = study.spec
    shown: Definition = spec.definition if isinstance(spec, StudySpec) else "main"
    which = differences.Which(spec.judged_on, "dense", shown)
    summary = studies.study_table(study, "summary")
    views = dict(zip(TABS, (tables, _differences, pareto_of, seeds_view, the_runs), strict=True))
    if isinstance(spec, TailorSpec):
        answer(of_study.tailored_answer(studies.study_table(study, "advice"), summary, which))
        views = {DEPTH: _depth, **views}
    else:
        answer(of_study.study_answer(summary, which, f"{DEFINITIONS[shown]}, {studies.SPLIT_TITLES[spec.judged_on]}"))
    for tab, view in zip(address.tabs("compared", tuple(views)), views.values(), strict=True):
        if tab.open:
            with tab:
                view(study)


def about(study: Study, split: str = "") -> str:
    """Return what a screenshot must carry to stay true."""
    spec = study.spec
    facts = [
        plain(isolated(spec.name)),
        plain(study.id),
        f"{spec.base.epochs} epochs at most",
        f"seeds {plain(_seeds(study))}",
    ]
    return " · ".join([*facts, *([studies.SPLIT_TITLES[split]] if split else [])])


def tables(study: Study) -> None:
    """Draw the paper's table and Δ_m in all definitions, with their downloads."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split, shown = _split(study), _definition(study)
    summary = studies.study_table(study, "summary")
    table = paper_table(summary, study.spec.base.fields, shown, split)
    if table.empty:
        st.info("The table appears once a run has been judged.", icon=":material/hourglass:")
        return
    _table(table)
    st.caption(f"{READING} {MEANINGS[shown]}.  \n{about(study, split)}")
    _downloads(table, summary)
    st.subheader("Δ_m in its three definitions", anchor=False)
    against = _against()
    st.dataframe(
        studies.definitions(study, split, against),
        key="definitions",
        hide_index=True,
        placeholder="–",
        height="content",
        column_config={name: st.column_config.TextColumn(f"{word} [%]") for name, word in DEFINITIONS.items()},
    )
    st.caption(f"Against {AGAINST[against]}, mean and 95 % interval over seeds. {'. '.join(MEANINGS.values())}.")
    _unseen(study, split, shown)
    _latencies(study)


def seeds_view(study: Study) -> None:
    """Draw how far the seeds of an arm choose the same groups."""
    draw(study_figures.seeds_chart(study), "seed_overlap", seed_overlap.READING, about(study))


def the_runs(study: Study) -> None:
    """List the runs of a study; one that is ticked can be opened."""
    frame = studies.members(study)
    event = st.dataframe(
        frame,
        key=keyed(ROWS, frame["run"]),  # rows are selected by place: with other rows, none is selected
        hide_index=True,
        placeholder="–",
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(frame) <= 15 else 560,
        column_config={"reused": st.column_config.CheckboxColumn(help="Was there before this study")},
    )
    st.caption(
        "The order is that of the plan. A reused run was trained before this study began. Tick a run to open it."
    )
    rows = [row for row in event.selection.rows if row < len(frame)]
    run = str(frame["run"].iloc[rows[0]]) if rows else ""
    if run:
        navigation.link("train", "Open in Train", run=run)


def _differences(study: Study) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split, shown, against = _split(study), _definition(study), _against()
    which = differences.Which(split, against, shown)
    where = f"{about(study, split)} · against {AGAINST[against]}"
    draw(
        study_figures.paired_chart(study, which),
        "paired_differences",
        f"{paired_differences.READING} {MEANINGS[shown]}.",
        where,
    )


def _depth(study: Study) -> None:
    """Draw the advice as a figure and a table, then the comparison of the two networks."""
    where = about(study)
    draw(study_figures.depth_chart(study), "depth_advice", depth_advice.READING, where)
    advice = studies.study_table(study, "advice")
    if advice.empty:
        return
    config = st.column_config
    st.dataframe(
        advice,
        key="depth_table",
        hide_index=True,
        placeholder="–",
        height=tall(len(advice)),
        column_config={
            "layer": config.TextColumn("deepest living layer"),
            "stages": config.NumberColumn("stages in all"),
            "by_seed": config.TextColumn("by seed"),
        },
    )
    explain(lambda: advice, "depth_table", ADVICE, where)
    st.subheader("The tailored network and the plain one", anchor=False)
    frame = studies.tailored_and_plain(study, study.spec.judged_on)
    if frame.empty:
        st.caption("The comparison appears once a tailored and a plain network of one seed are trained.")
        return
    st.dataframe(
        frame, key="tailored_table", hide_index=True, placeholder="–", height="content" if len(frame) <= 15 else 560
    )
    explain(lambda: frame, "tailored_table", COMPARED, where)


def _table(table: pd.DataFrame) -> None:
    """Show the paper's table, Δ_m first and the arms in sight; the files keep the paper's order."""
    config = st.column_config
    first = [*WHO, *(name for name in table.columns if name.startswith("Δ_m"))]
    st.dataframe(
        table,
        key="paper_table",
        hide_index=True,
        placeholder="–",
        height="content" if len(table) <= 15 else 560,
        column_order=[*first, *(name for name in table.columns if name not in first)],
        column_config={
            "arm": config.TextColumn(pinned=True, width=130),
            "tasks": config.TextColumn(pinned=True, width=150),
        },
    )


def _unseen(study: Study, split: str, shown: Definition) -> None:
    """Draw how supports do on tasks that they were not found on, where the study tried that."""
    frame = studies.unseen_supports(study, split, shown)
    if frame.empty:
        return
    st.subheader("A support tried on an unseen task", anchor=False)
    said = of_study.unseen_answer(frame)
    st.markdown(plain(f"{said.says} {said.then}"))
    st.dataframe(
        frame.assign(other=frame["other"].map(of_study.OTHERS)),
        key="study_unseen",
        hide_index=True,
        placeholder="–",
        height=tall(len(frame)),
        column_config={
            "support": st.column_config.TextColumn("support found on"),
            "other": st.column_config.TextColumn("compared with"),
            **{name: st.column_config.NumberColumn(format="%+.2f") for name in ("difference", "low", "high")},
        },
    )
    explain(lambda: frame, "study_unseen", UNSEEN, about(study, split))


def _latencies(study: Study) -> None:
    """Draw the times after compaction, where the study took them."""
    frame = studies.latencies(study)
    if frame.empty:
        return
    config = st.column_config
    st.subheader("Latency before and after the removal of zeros", anchor=False)
    st.dataframe(
        frame,
        key="study_latency",
        hide_index=True,
        placeholder="–",
        height=tall(len(frame)),
        column_config={
            "before": config.NumberColumn("before [ms]", format="%.3g"),
            "after": config.NumberColumn("after [ms]", format="%.3g"),
            "quiet": config.CheckboxColumn(help="The machine was quiet: the times may be quoted"),
        },
    )
    explain(lambda: frame, "study_latency", LATENCY, about(study))


def _downloads(table: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Offer the table as text in three forms, and all its numbers."""
    made: dict[str, Callable[[pd.DataFrame], str]] = {"csv": text_csv, "tex": latex, "md": markdown}
    files: dict[str, tuple[str, str, Callable[[], str | bytes]]]
    files = {f"table.{suffix}": (label, mime, partial(made[suffix], table)) for suffix, (label, mime) in FILES.items()}
    files["summary.csv"] = ("All numbers", "text/csv", partial(csv, summary))
    with st.container(horizontal=True):
        for name, (label, mime, content) in files.items():
            st.download_button(
                label,
                data=content,
                file_name=name,
                mime=mime,
                key=name.replace(".", "_"),
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
            )


def _split(study: Study) -> str:
    usual = study.spec.judged_on
    known = {"val": studies.SPLIT_TITLES["val"]} if usual == "val" else studies.SPLIT_TITLES
    return address.segments("split", "Judged on", known, usual)


def _definition(study: Study) -> Definition:
    """Ask which Δ_m is shown: that of the study at first."""
    spec = study.spec
    usual: Definition = spec.definition if isinstance(spec, StudySpec) else "main"
    return address.segments("definition", "Δ_m over the", DEFINITIONS, usual)


def _against() -> str:
    return address.segments("against", "Against", AGAINST, "dense")


def _seeds(study: Study) -> str:
    return ", ".join(map(str, study.spec.seeds))
