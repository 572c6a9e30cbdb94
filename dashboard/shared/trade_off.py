"""Several runs in one figure: what quality costs, where a click on a point opens its run; their curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.figures import pareto as figure
from winnow.dashboard.figures.style import COLOURS, DASHES, empty, escaped, panels, shortened, xy
from winnow.dashboard.frames import events, pareto, studies
from winnow.dashboard.frames.answers.answer import count
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.summaries import Summary, image_sets, summaries
from winnow.dashboard.frames.summaries import tasks as tasks_of
from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import isolated, plain
from winnow.dashboard.shared.panel import Chart, draw
from winnow.engine.runs.quantities import metric_title, metrics
from winnow.engine.runs.run import run_below, runs_folder
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import StudySpec
from winnow.engine.studies.delta import DEFINITIONS

ALL = "all runs"
COSTS: dict[pareto.Cost, str] = {"macs": "MACs", "parameters": "parameters", "latency": "latency"}
PICKED = "run_of_a_point"
NO_LATENCY = "A pruning measures the latency: only runs that were pruned on a quiet machine appear here."
UNKNOWN = "done, without a value or a known cost"
MOST_NAMES = 3
MOST_CURVES = 12  # curves
CURVES_READING = "One curve per run, on the validation images after each epoch. Runs differ by colour and dash."
ZERO_CURVE = ("", "group_sparsity", "groups zero [%]")
Curve = tuple[str, str, str]  # task, quantity, title


@dataclass(frozen=True)
class Quantity:
    """What is held against the costs, and what it is called."""

    title: str
    reached: pareto.Reached


def pareto_of_all() -> None:
    """Draw the trade-off of a study that is chosen, or of all runs of a task."""
    known = {study.id: study for study in studies.studies() if studies.spec(study) and studies.begun(study)}
    name = st.selectbox(
        "Of",
        [*known, ALL],
        format_func=lambda identity: _called(known.get(identity)),
        label_visibility="collapsed",
        width=460,
        **address.following("pareto_of", [*known, ALL], next(iter(known), ALL)),
    )
    if name in known:
        pareto_of(known[name])
    else:
        _of_runs()


def pareto_of(study: Study) -> None:
    """Draw the trade-off of a study."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        subset, split, cost = _subset(study), _split(study), _cost()
        wanted = _quantity(quantities(study, subset, split))
    if cost == "latency":  # prunings come and go without the study's tables
        chart, missing = _made(study, wanted, cost)
    else:
        versions = studies.study_versions(study, "results", "delta", "members")
        chart, missing = _drawing(study.path, versions, wanted, cost)
    if missing:
        st.caption(missing)
    named = f"{plain(isolated(study.spec.name))} · {plain(study.id)}"
    _drawn(chart, f"{named} · {studies.SPLIT_TITLES[split]} · tasks {plain(subset)}", cost)


def quantities(study: Study, subset: str, split: str) -> list[Quantity]:
    """Return what can be held against the costs: Δ_m as the study defines it first, then the metrics of each task."""
    spec = study.spec
    usual = spec.definition if isinstance(spec, StudySpec) else "main"
    ordered = sorted(DEFINITIONS, key=lambda name: name != usual)
    known = studies.study_table(study, "delta")
    found = [
        Quantity(
            f"Δ_m ({definition}) over {of} [%]", pareto.Reached(split, subset, against=against, definition=definition)
        )
        for definition in ordered
        for against, of in (("dense", "dense"), ("single", "single tasks"))
        if (known["against"] == against).any()
    ]
    fields = spec.base.fields
    for task in subset.split("+"):
        higher = {metric: metric.better == "higher" for metric in metrics(fields[task])}
        found += [
            Quantity(metric_title(task, metric), pareto.Reached(split, subset, task, metric.name, higher=better))
            for metric, better in higher.items()
        ]
    return found


def _of_runs() -> None:
    every = summaries()
    known = _of_the_same_images(every)
    wanted = {
        metric_title(task, metric): (task, metric) for one in known for task, (metric, _) in one.main_metrics().items()
    }
    if not wanted:
        st.info("No run has results yet.", icon=":material/hourglass:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = _cost()
        title = st.selectbox("Reached", list(wanted), key="pareto_task", width=330)
    task, metric = wanted[title]
    points = pareto.of_runs(known, runs_folder(), (task, metric), cost)
    _say_left_out(every, known, pareto.undrawn_runs(known, points, (task, metric)))
    _drawn(_figure(points, title, metric.better == "higher", cost), "all runs · validation images, newest epoch", cost)


def _say_left_out(every: Sequence[Summary], known: Sequence[Summary], reasons: Mapping[str, Sequence[str]]) -> None:
    """Say how many of all runs the figure lacks, which, and why."""
    named = {one.id for one in known}
    others = [one for one in every if one.id not in named]
    damaged = [one.name for one in others if one.spec is None]
    elsewhere = [one.name for one in others if one.spec is not None and one.has_metrics]
    unjudged = [one.name for one in others if one.spec is not None and not one.has_metrics]
    why = {"judged on other images": elsewhere, "no metric recorded so far": unjudged, "description damaged": damaged}
    for reason, names in reasons.items():
        why[reason] = [*why.get(reason, []), *names]
    missing = sum(map(len, why.values()))
    if missing:
        parts = "; ".join(f"{reason}: {_named(names)}" for reason, names in why.items() if names)
        st.caption(plain(f"Not drawn: {missing} of {count(len(every), 'run')}. {parts[0].upper()}{parts[1:]}."))


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(map(isolated, names[:MOST_NAMES])) + (f" and {more} more" if more > 0 else "")


def _of_the_same_images(known: Sequence[Summary]) -> list[Summary]:
    """Return the runs that were judged on the same images: of several sets, the user chooses one."""
    sets: dict[str, list[Summary]] = {}
    named = image_sets(known)
    for one in known:
        if one.id in named:
            sets.setdefault(named[one.id], []).append(one)
    if len(sets) < 2:
        return list(known)
    most = max(sets, key=lambda name: len(sets[name]))
    chosen: str = st.selectbox(
        "Judged on",
        list(sets),
        format_func=lambda name: f"{name} · {len(sets[name])} {'run' if len(sets[name]) == 1 else 'runs'}",
        help="Only runs that were judged on the same images are drawn together",
        width=460,
        **address.following("pareto_images", sets, most),
    )
    return sets[chosen]


def _drawn(chart: Chart, source: str, cost: pareto.Cost) -> None:
    if run := st.session_state.pop(PICKED, None):
        navigation.go("train", run=run)
    if cost == "latency":
        st.caption(NO_LATENCY)
    draw(chart, "pareto", figure.READING, source, _pick)


def _pick(points: list[Any]) -> None:
    """Note the run of the point that was clicked; the page goes there when it is drawn again."""
    for point in points:
        data = point.get("customdata") if isinstance(point, dict) else None
        run = data[0] if isinstance(data, list | tuple) and data else data.get("0") if isinstance(data, dict) else None
        if isinstance(run, str) and (runs_folder() / Path(run).name / "spec.json").is_file():
            st.session_state[PICKED] = Path(run).name
            return


@latest(32)
def _drawing(path: Path, _tables: tuple[Version, ...], wanted: Quantity, cost: pareto.Cost) -> tuple[Chart, str]:
    return _made(Study(path), wanted, cost)


def _made(study: Study, wanted: Quantity, cost: pareto.Cost) -> tuple[Chart, str]:
    """Draw the runs of a study; return the figure, and which runs it lacks, "" where it has all."""
    points, reached = pareto.of_study(study, wanted.reached, cost), wanted.reached
    whole, states = pareto.undrawn_members(study, points, reached.subset)
    parts = ", ".join(f"{number} {UNKNOWN if state == 'done' else state}" for state, number in states.items())
    said = f"Not drawn: {states.total()} of {whole} runs of these tasks: {parts}." if states else ""
    return _figure(points, wanted.title, reached.higher, cost), said


def _figure(points: pd.DataFrame, title: str, higher: bool, cost: pareto.Cost) -> Chart:
    found = pareto.pareto_groups(points, higher)
    shown = found.drop(columns="group")
    return Chart(figure.pareto(found, points, figure.Axes(cost, title, higher)), shown)


def _subset(study: Study) -> str:
    """Ask which set of tasks: the largest at first, as Δ_m of different sets can't be compared."""
    named = [str(name) for name in studies.study_table(study, "results")["subset"].unique()]
    known = sorted(named, key=lambda name: -name.count("+"))
    return st.selectbox("Tasks", known, key=f"pareto_tasks_{study.id}", width=200)


def _split(study: Study) -> str:
    known = ["val"] if study.spec.judged_on == "val" else list(studies.SPLIT_TITLES)
    return st.selectbox("Judged on", known, format_func=studies.SPLIT_TITLES.__getitem__, key="pareto_split", width=180)


def _cost() -> pareto.Cost:
    return address.segments("cost", "Cost", COSTS, "macs")


def _quantity(known: list[Quantity]) -> Quantity:
    titles = {quantity.title: quantity for quantity in known}
    return titles[st.selectbox("Reached", list(titles), key="pareto_reached", width=330)]


def _called(study: Study | None) -> str:
    return ALL if study is None else studies.study_called(study)


def overlaid_curves(chosen: Sequence[Summary]) -> None:
    """Let the user choose what to draw, at first something that was recorded, and draw it for all runs that have it."""
    recorded = _recorded(chosen[:MOST_CURVES])
    titles = sorted(_curve_titles(chosen), key=lambda curve: curve[:2] not in recorded)
    wanted: Curve = st.selectbox("Curves of", titles, format_func=lambda curve: curve[2], key="overlaid", width=340)
    frame = _curve_frame(chosen[:MOST_CURVES], wanted)
    without = [one.name for one in chosen[:MOST_CURVES] if one.id not in set(frame["id"])]
    about = ", ".join(plain(one.id) for one in chosen[:MOST_CURVES])
    more = f" Only the first {MOST_CURVES} are drawn." if len(chosen) > MOST_CURVES else ""
    more += f" Not recorded by: {plain(_named(without))}." if without and len(frame) else ""
    draw(Chart(_overlaid(frame, wanted[2]), frame), "overlaid_curves", CURVES_READING + more, about)


def _overlaid(frame: pd.DataFrame, title: str) -> go.Figure:
    """Draw `frame` (run, id, at, value) as one curve per run."""
    if frame.empty:
        return empty("None of these runs has recorded it.")
    figure = panels(height=340)
    for place, ((name, _), own) in enumerate(frame.groupby(["run", "id"], sort=False)):
        figure.add_trace(
            go.Scatter(
                **xy(own, "value"),
                name=escaped(shortened(str(name), 40)),
                mode="lines+markers" if len(own) <= 60 else "lines",
                line={"color": COLOURS[place % 4], "dash": DASHES[place // 4 % 4], "width": 2},
                marker={"size": 5},
                hovertemplate="epoch %{x:.0f}: %{y:.4g}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(title_text=escaped(title))
    figure.update_xaxes(title_text="epoch")
    return figure


def _curve_titles(chosen: Sequence[Summary]) -> list[Curve]:
    known: dict[Curve, None] = {}
    for one in chosen:
        for task, metric in tasks_of(one.spec) if one.spec is not None else []:
            unit = f" [{metric.unit}]" if metric.unit not in ("", "1") else ""
            known[task, metric.name, f"{task}: {metric.label}{unit}"] = None
            known[task, "loss", f"{task}: loss"] = None
    return [*known, ZERO_CURVE]


def _recorded(chosen: Sequence[Summary]) -> set[tuple[str, str]]:
    """Return the (task, quantity) of every curve that some of these runs have."""
    known: set[tuple[str, str]] = set()
    for one in chosen:
        log = events.events(run_below(runs_folder(), one.id))
        own = log[log["split"].isin(("val", "model")) & log["value"].notna()]
        known |= set(zip(own["task"].fillna("").astype(str), own["quantity"].astype(str), strict=True))
    return known


def _curve_frame(chosen: Sequence[Summary], wanted: Curve) -> pd.DataFrame:
    parts = []
    for one in chosen:
        log = events.events(run_below(runs_folder(), one.id))
        task = log["task"].fillna("").astype(str)
        split = "val" if wanted[0] else "model"
        own = log[(log["split"] == split) & (log["quantity"] == wanted[1]) & (task == wanted[0])]
        parts.append(pd.DataFrame({"run": one.name, "id": one.id, "at": own["at"], "value": own["value"]}).dropna())
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run", "id", "at", "value"])
