"""A against B: two synced maps and the difference, what each reached, and whether they kept the same groups.

A is the run of the other pages, `run` in the address; B is `other`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from winnow.dashboard.canvas.pair_maps import READING, MapPair, pair_maps, replayable_pair
from winnow.dashboard.figures import gains, kept_by_both, mask_overlap
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import circuits, maps, masks, pairs, tables, who_pays
from winnow.dashboard.frames.answers import of_runs
from winnow.dashboard.frames.concepts import names_by_layer
from winnow.dashboard.frames.explanations import explanation_table
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import OTHER, RUN
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.choosing import Selector, called, chosen_of, gone
from winnow.dashboard.shared.explanation import verdict_badge
from winnow.dashboard.shared.formatting import isolated, plain, sentence
from winnow.dashboard.shared.panel import Chart, DrawnFigure, draw, explain
from winnow.dashboard.shared.run_bar import ended, looked_at
from winnow.dashboard.shared.selection import say_absent, select, selected
from winnow.dashboard.shared.welcome import welcome
from winnow.dashboard.shared.who_pays import PairView, paying_view
from winnow.engine.explain.circuits.tables import circuit_verdict
from winnow.engine.runs.run import Run, list_runs

TABS = ("Maps", "Metrics", "Who pays", "Layers", "Circuits", "Seeds", "Descriptions")
SAME = "Choose two different runs to compare them."
ALONE = "There is one run so far. Train another one to compare: with another seed, strength or set of tasks."
OTHER_IMAGES = (
    "The two runs were judged on different images or labels: {}. Their metrics cannot be compared, so no difference is "
    "shown."
)
NO_SHAPE = (
    "The two networks have different layers or widths, or groups of different kinds, so their maps cannot be compared "
    "channel by channel."
)
NO_NORMS = "{} recorded no norms of groups, so there is no map to compare."
DAMAGED = "The description of {} is damaged, so nothing can be compared. `winnow runs verify` names the file."
NOT_JUDGED = (
    "The two runs were not judged image by image on the same split. An explanation does that: explain both runs, on "
    "the page Explain or with `winnow explain RUN`. Explanations made by older versions do not contain this."
)
NO_CIRCUITS = (
    "{} not been explained with circuits. They take minutes, so they are found on request: on the page Explain, under "
    "Advanced, or with `winnow explain RUN --circuits`."
)
NONE_FOUND = "Circuits of {} were asked for, and there are none. {}"
AGREED = (
    "a_share, b_share: edges that the task's circuit keeps, of all edges of the layer whose weight is not zero, in A "
    "and in B. The other columns are there only where one run started with the weights of the other: otherwise channel "
    "3 of A is not channel 3 of B. jaccard: edges in both circuits, of those in either. a_in_b: edges of A's circuit "
    "that are in B's. dead_in_b: edges of A's circuit that no longer exist in B. All in %. A circuit keeps 95 % of "
    "what its task has learned."
)
NO_SEEDS = (
    "Neither run has a sibling with the same description and another seed. Train one, or make a study with several "
    "seeds, to see which differences are more than chance."
)


def page() -> None:
    """Draw the comparison of the two chosen runs."""
    runs = {run.id: run for run in list_runs()}
    if not runs:
        if address.named(RUN):
            gone(RUN, others=False)
        welcome()
        return
    a, b = _chosen(runs)
    if len(runs) == 1:
        st.info(ALONE, icon=":material/compare:")
    elif a is not None and b is not None:
        _compared(a, b)


def _chosen(runs: Mapping[str, Run]) -> tuple[Run | None, Run | None]:
    """Let the user choose A and B; say which of them is gone."""
    names = {identity: called(run) for identity, run in runs.items()}
    with st.container(horizontal=True, vertical_alignment="center"):
        found = [_one(runs, names, name, label) for name, label in ((RUN, "A"), (OTHER, "B"))]
    for run, name in zip(found, (RUN, OTHER), strict=True):
        if run is None and address.named(name):
            gone(name)
    return found[0], found[1]


def _one(runs: Mapping[str, Run], names: Mapping[str, str], name: str, label: str) -> Run | None:
    """Let the user choose one of the two; its letter stays beside it on a narrow page."""
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        st.markdown(f"**{label}**", width="content")
        run = runs.get(chosen_of(Selector(name, label, 430, (OTHER,)), names) or "")
        if run is not None:
            ended(run)
    return run


def _compared(a: Run, b: Run) -> None:
    """Draw the open view."""
    looked_at(*{run.id: run for run in (a, b)}.values())
    if a.id == b.id:
        st.info(SAME, icon=":material/compare:")
        return
    if damaged := [name for name, run in (("A", a), ("B", b)) if summary(run).spec is None]:
        st.error(DAMAGED.format(" and ".join(damaged)), icon=":material/error:")
        return
    metrics, _, differ = pairs.paired_metrics(a, b)
    answer(of_runs.compare_answer(summary(a), summary(b), metrics, pairs.paired_groups(a, b), differ))
    views = (_maps, _metrics, _who_pays, _layers, _circuits, _seeds, _descriptions)
    for tab, view in zip(address.tabs("against_one_another", TABS), views, strict=True):
        if tab.open:
            with tab:
                view(a, b)


def _unmapped(a: Run, b: Run) -> None:
    """Say why the two networks can't be compared channel by channel."""
    missing = [name for name, run in (("A", a), ("B", b)) if not pairs.shape(run)]
    has = f"{' and '.join(missing)} {'has' if len(missing) == 1 else 'have'}"
    st.info(NO_NORMS.format(has) if missing else NO_SHAPE, icon=":material/grid_off:")


def _maps(a: Run, b: Run) -> None:
    frame = pairs.paired_groups(a, b)
    if frame.empty:
        _unmapped(a, b)
        return
    norms = frame[["a", "b"]].to_numpy(np.float32).T
    near = frame[["near_a", "near_b"]].to_numpy(bool).T
    kind = pairs.kind(a) or "input"
    found = selected(pairs.shape(a), kind, "these networks")
    called = names_by_layer(a, kind), names_by_layer(b, kind)
    pair = MapPair((_named(a), _named(b)), pairs.shape(a), norms, near, kind, found.cell, called)
    pair_maps(pair, "pair_maps", select)
    say_absent(found)
    drawn = DrawnFigure("maps", "pair_maps", lambda: replayable_pair(pair))
    explain(lambda: frame, "pair", READING, _about(a, b), drawn)


def _metrics(a: Run, b: Run) -> None:
    chart, split, differ = _gains(a.path, b.path, version(a.path / "events.jsonl"), version(b.path / "events.jsonl"))
    if differ:
        st.warning(OTHER_IMAGES.format(plain(differ)), icon=":material/warning:")
    else:
        draw(chart, "gains", gains.READING, f"{_about(a, b)} · {split}")
    if len(chart.frame):
        _numbers(chart.frame)


def _numbers(frame: pd.DataFrame) -> None:
    config = st.column_config
    st.dataframe(
        frame.drop(columns=["metric"]),
        key="pair_numbers",
        hide_index=True,
        placeholder="–",
        height="content",
        column_config={
            "label": config.TextColumn("metric"),
            "better": config.TextColumn("better is"),
            "a": config.NumberColumn("A", format="%.4g"),
            "b": config.NumberColumn("B", format="%.4g"),
            "difference": config.NumberColumn("B − A", format="%+.4g"),
            "gain": config.NumberColumn("gain of B [%]", format="%+.2f"),
        },
    )


def _who_pays(a: Run, b: Run) -> None:
    """Draw which images and classes get less of B than of A."""
    if differ := pairs.pair_other_images(a, b, "val"):
        st.warning(OTHER_IMAGES.format(plain(differ)), icon=":material/warning:")
        return
    judged, works = who_pays.of_run_pair(a, b), who_pays.judged_pair(a, b)
    if judged.images.empty or works is None:
        st.info(NOT_JUDGED, icon=":material/group:")
        return
    stores = {name: maps.store(work) for name, work in zip("AB", works, strict=True)}
    known = {name: store for name, store in stores.items() if store is not None}
    shown = PairView(judged, ("A", "B"), known if len(known) == len(stores) else {}, _about(a, b))
    paying_view(shown)


def _layers(a: Run, b: Run) -> None:
    frame = pairs.paired_groups(a, b)
    if frame.empty:
        _unmapped(a, b)
        return
    counted = pairs.paired_layers(frame)
    draw(Chart(kept_by_both.kept_by_both(counted), counted), "kept_by_both", kept_by_both.READING, _about(a, b))
    overlap = masks.overlap([a, b])
    draw(Chart(mask_overlap.mask_overlap(overlap), overlap), "pair_overlap", mask_overlap.READING, _about(a, b))


def _circuits(a: Run, b: Run) -> None:
    """Say how many edges the circuit of each task keeps in A and in B, and how far they are the same."""
    works = {name: circuits.explained_with_circuits(run) for name, run in (("A", a), ("B", b))}
    one, other = works["A"], works["B"]
    if one is None or other is None:
        _no_circuits({name: run for name, run in (("A", a), ("B", b)) if works[name] is None})
        return
    frame, reason = circuits.circuits_agreed(one, other)
    if reason:
        st.info(f"The circuits of A and B cannot be compared: {sentence(reason)}", icon=":material/account_tree:")
        return
    for name, work in (("A", one), ("B", other)):
        verdict_badge(f"the circuits of {name}", *circuit_verdict(explanation_table(work, "circuit_figures")))
    st.dataframe(frame.round(1), key="pair_circuits", hide_index=True, placeholder="–", height="content", row_height=30)
    explain(lambda: frame, "pair_circuits", AGREED, f"{_about(a, b)} · {one.id} · {other.id}")


def _no_circuits(runs: Mapping[str, Run]) -> None:
    """Say which runs have no circuits, and why: none were asked for, or none were found."""
    refused = {name: circuits.newest_refused(run) for name, run in runs.items()}
    unasked = [name for name, why in refused.items() if why is None]
    if unasked:
        has = f"{' and '.join(unasked)} {'has' if len(unasked) == 1 else 'have'}"
        st.info(NO_CIRCUITS.format(has), icon=":material/account_tree:")
    for name, why in refused.items():
        if why is not None:
            st.info(NONE_FOUND.format(name, sentence(why or circuits.UNTOLD)), icon=":material/account_tree:")


def _seeds(a: Run, b: Run) -> None:
    """Draw how far A agrees with itself over seeds, and B: what is less than that is more than chance."""
    every, drawn = list_runs(), False
    for run, name in ((a, "A"), (b, "B")):
        known = [sibling for sibling in pairs.siblings(run, every) if pairs.shape(sibling) == pairs.shape(run)]
        if len(known) < 2 or (name == "B" and b.id in {sibling.id for sibling in pairs.siblings(a, every)}):
            continue
        overlap, drawn = masks.overlap(known[: masks.MOST_RUNS]), True
        st.subheader(f"{name} over {len(known[: masks.MOST_RUNS])} seeds", anchor=False)
        chart = Chart(mask_overlap.mask_overlap(overlap), overlap)
        draw(chart, f"seeds_{name}", mask_overlap.READING, f"{name}: {_shown(run)} · {plain(run.id)}")
    if not drawn:
        st.info(NO_SEEDS, icon=":material/casino:")


def _descriptions(a: Run, b: Run) -> None:
    known = [summary(a), summary(b)]
    frame, titles = tables.compared_runs(known), tables.run_titles(known)
    if differ := pairs.pair_other_images(a, b, "val"):
        st.warning(OTHER_IMAGES.format(plain(differ)), icon=":material/warning:")
    st.dataframe(
        frame, key="pair_descriptions", hide_index=True, placeholder="–", height="content", column_config=titles
    )
    explain(
        lambda: frame, "descriptions", "Only what differs between the descriptions, then the results.", _about(a, b)
    )


@latest(32)
def _gains(a: Path, b: Path, _a: Version, _b: Version) -> tuple[Chart, str, str]:
    frame, split, differ = pairs.paired_metrics(Run(a), Run(b))
    spec = summary(Run(a)).spec
    looks = styles(list(spec.data.fields)) if spec is not None else {}
    return Chart(gains.gains(frame, looks), frame), split, differ


def _named(run: Run) -> str:
    return summary(run).name


def _shown(run: Run) -> str:
    return plain(isolated(_named(run)))


def _about(a: Run, b: Run) -> str:
    return f"A: {_shown(a)}, {plain(a.id)} · B: {_shown(b)}, {plain(b.id)}"
