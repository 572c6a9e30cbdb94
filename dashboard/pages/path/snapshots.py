"""The networks kept on the way along a path: a table, and the line of Python that loads the one that is ticked."""

from typing import Any

import pandas as pd
import streamlit as st

from winnow.dashboard.frames import snapshots, tables
from winnow.dashboard.pages.path.study_tabs import about
from winnow.dashboard.shared.formatting import amount, digits
from winnow.dashboard.shared.panel import explain
from winnow.engine.runs.study import Study

NONE = (
    "No networks were kept on the way. The runs of a path keep one whenever their sparsity first reaches a multiple of "
    "5 %, unless `--snapshots` says otherwise; a run that was there before the path, and only referred to, keeps what "
    "it has. Networks after a run's end: the Prune page."
)
READING = (
    "The network as it was at the end of the epoch in which the sparsity first reached the level, its zeros removed. "
    "It was not refitted at that sparsity, nor chosen by anything: the run's own end may be better at the same "
    "sparsity. Sparsities are those of the penalised layers; parameters and MACs are those of the whole small network."
)


def kept_on_the_way(study: Study) -> None:
    """List the networks kept on the way; one that is ticked is offered to be loaded."""
    frame = snapshots.snapshots(study)
    if frame.empty:
        st.info(NONE, icon=":material/deployed_code:")
        return
    event = st.dataframe(
        _counted(frame),
        key=f"snapshots_{len(frame)}",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(frame) <= 15 else 560,
        column_config=_columns(study),
    )
    explain(lambda: frame, "snapshots", READING, about(study, "val"))
    rows = [row for row in event.selection.rows if row < len(frame)]
    if rows:
        folder = str(frame["folder"].iloc[rows[0]])
        st.code(f"from winnow.engine.export import load_model\n\nnet = load_model({folder!r})", language="python")
    else:
        st.info("Tick one to see how it is loaded.", icon=":material/check_box:")


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Say the counts with three figures and a prefix."""
    units = {"parameters": "1", "macs": "1", "bytes": "B"}
    return frame.assign(**{name: [amount(float(value), unit) for value in frame[name]] for name, unit in units.items()})


def _columns(study: Study) -> dict[str, Any]:
    config = st.column_config
    percent = {name: config.NumberColumn(title, format="%.1f %%") for name, title in tables.SPARSITY_TITLES.items()}
    metrics = {
        name: config.NumberColumn(name, format=digits(metric.unit))
        for name, metric in snapshots.metric_columns(study).items()
    }
    return {
        "run": config.TextColumn("Run", pinned=True),
        "seed": "Seed",
        "level": config.NumberColumn("Reached", format="%d %%"),
        "of": "Of the",
        "epoch": "Epoch",
        **percent,
        **metrics,
        "parameters": "Parameters left",
        "macs": "MACs left",
        "bytes": "File",
        "folder": config.TextColumn("Folder", width="large"),
    }
