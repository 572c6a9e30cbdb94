"""A against B: two synced maps and the difference, what each reached, and whether they kept the same groups.

Both runs stand in the address as `a` and `b`, so that a copied link shows the same comparison.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from winnow.dashboard.canvas.pair_maps import READING, Pair, pair_maps
from winnow.dashboard.figures import gains, kept_by_both, mask_overlap
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import masks, pairs, tables
from winnow.dashboard.frames.file_versions import Stamp, stamp
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import draw, explain
from winnow.dashboard.shared.run_figures import Drawing
from winnow.dashboard.shared.selection import ONE, OTHER, RUN, recall
from winnow.dashboard.shared.welcome import welcome
from winnow.engine.runs.run import Run, list_runs

TABS = ("Maps", "Metrics", "Layers", "Seeds", "Descriptions")
SAME = "Choose two different runs to compare them."
ALONE = "One run is there so far: another seed, another strength or another set of tasks makes a comparison."
NO_SHAPE = (
    "The two networks have other layers or widths, or groups of another kind, so that their channels can't be laid "
    "over one another. Their metrics can still be compared."
)
NO_SEEDS = (
    "Neither run has a sibling: the same description with another seed. Train one, or make a study with several seeds, "
    "to see which of the differences are more than chance."
)


def page() -> None:
    """Draw the comparison of the two chosen runs."""
    runs = {run.id: run for run in list_runs()}
    if not runs:
        welcome()
        return
    recall()  # the run of the other pages is A at first
    with st.container(horizontal=True, vertical_alignment="bottom"):
        a, b = (runs[name] for name in _chosen(list(runs)))
    if a.id == b.id:
        st.info(ALONE if len(runs) == 1 else SAME, icon=":material/compare:")
        return
    made = st.tabs(TABS, key="against_one_another", on_change="rerun", bind="query-params")
    for tab, view in zip(made, (_maps, _metrics, _layers, _seeds, _descriptions), strict=True):
        if tab.open:
            with tab:
                view(a, b)


def _chosen(known: list[str]) -> list[str]:
    """Let the user choose A and B: at first the run of the other pages, or the second newest, and the newest."""
    first = st.query_params.get(RUN) or (known[1] if len(known) > 1 else known[0])
    usual = {
        ONE: first if first in known else known[0],
        OTHER: next((name for name in known if name != first), known[0]),
    }
    found = []
    for key, label in ((ONE, "A"), (OTHER, "B")):
        named = st.session_state.get(key) or st.query_params.get(key)
        if named is None:
            st.query_params[key] = usual[key]
        if named not in known:
            st.session_state[key] = usual[key]
        chosen = st.selectbox(label, known, index=None, required=True, key=key, bind="query-params", width=430)
        found.append(chosen if chosen in known else usual[key])
    return found


def _maps(a: Run, b: Run) -> None:
    frame = pairs.groups(a, b)
    if frame.empty:
        st.info(NO_SHAPE, icon=":material/grid_off:")
        return
    norms = frame[["a", "b"]].to_numpy(np.float32).T
    near = frame[["near_a", "near_b"]].to_numpy(bool).T
    pair_maps(Pair((_named(a), _named(b)), pairs.shape(a), norms, near), "pair_maps")
    explain(lambda: frame, "pair", READING, _about(a, b))


def _metrics(a: Run, b: Run) -> None:
    drawing, split = _gains(a.path, b.path, stamp(a.path / "events.jsonl"), stamp(b.path / "events.jsonl"))
    draw(drawing, "gains", gains.READING, f"{_about(a, b)} · {split}")
    if len(drawing.frame):
        _numbers(drawing.frame)


def _numbers(frame: pd.DataFrame) -> None:
    config = st.column_config
    st.dataframe(
        frame.drop(columns=["metric"]),
        key="pair_numbers",
        hide_index=True,
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


def _layers(a: Run, b: Run) -> None:
    frame = pairs.groups(a, b)
    if frame.empty:
        st.info(NO_SHAPE, icon=":material/grid_off:")
        return
    counted = pairs.layers(frame)
    draw(Drawing(kept_by_both.kept_by_both(counted), counted), "kept_by_both", kept_by_both.READING, _about(a, b))
    overlap = masks.overlap([a, b])
    draw(Drawing(mask_overlap.mask_overlap(overlap), overlap), "pair_overlap", mask_overlap.READING, _about(a, b))


def _seeds(a: Run, b: Run) -> None:
    """Draw how far A agrees with itself over seeds, and B: what is less than that is more than chance."""
    every, drawn = list_runs(), False
    for run, name in ((a, "A"), (b, "B")):
        known = [sibling for sibling in pairs.siblings(run, every) if pairs.shape(sibling) == pairs.shape(run)]
        if len(known) < 2 or (name == "B" and b.id in {sibling.id for sibling in pairs.siblings(a, every)}):
            continue
        overlap, drawn = masks.overlap(known[: masks.MOST_RUNS]), True
        st.subheader(f"{name} over {len(known[: masks.MOST_RUNS])} seeds", anchor=False)
        drawing = Drawing(mask_overlap.mask_overlap(overlap), overlap)
        draw(drawing, f"seeds_{name}", mask_overlap.READING, f"{name}: {_named(run)} · {plain(run.id)}")
    if not drawn:
        st.info(NO_SEEDS, icon=":material/casino:")


def _descriptions(a: Run, b: Run) -> None:
    frame = tables.compare([summary(a), summary(b)])
    st.dataframe(frame, key="pair_descriptions", hide_index=True, height="content")
    explain(
        lambda: frame, "descriptions", "Only what differs between the descriptions, then the results.", _about(a, b)
    )


@lru_cache(maxsize=32)
def _gains(a: Path, b: Path, _a: Stamp, _b: Stamp) -> tuple[Drawing, str]:
    frame, split = pairs.metrics(Run(a), Run(b))
    spec = summary(Run(a)).spec
    looks = styles(list(spec.data.fields)) if spec is not None else {}
    return Drawing(gains.gains(frame, looks), frame), split


def _named(run: Run) -> str:
    return summary(run).name


def _about(a: Run, b: Run) -> str:
    return f"A: {plain(_named(a))}, {plain(a.id)} · B: {plain(_named(b))}, {plain(b.id)}"
