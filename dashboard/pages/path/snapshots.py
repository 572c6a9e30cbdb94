"""The snapshots of a path, networks kept during training: a table, and the Python that loads the one that is ticked."""

from typing import Any

import pandas as pd
import streamlit as st

from winnow.dashboard.frames import snapshots, tables
from winnow.dashboard.pages.path.study_tabs import about
from winnow.dashboard.shared.formatting import amount, digits
from winnow.dashboard.shared.panel import explain, keyed
from winnow.engine.runs.study import Study

NONE = (
    "There are no snapshots. The runs of a path keep a network whenever their sparsity first reaches a multiple of 5 "
    "%, unless `--snapshots` says otherwise. A run that existed before the path has its own snapshots. To make a small "
    "network after a run has ended, use the Prune page."
)
READING = (
    "The network at the end of the epoch in which the sparsity first reached the level, its zeros removed. It was "
    "not refitted at that sparsity: the network at the end of a run may be better at the same sparsity. Sparsities "
    "are those of the penalised layers; parameters and MACs are those of the whole small network."
)


def kept_on_the_way(study: Study) -> None:
    """List the snapshots; how to load one that is ticked is shown."""
    frame = snapshots.snapshots(study)
    if frame.empty:
        st.info(NONE, icon=":material/deployed_code:")
        return
    event = st.dataframe(
        _counted(frame),
        key=keyed("snapshots", frame["folder"]),
        hide_index=True,
        placeholder="–",
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
        st.info("Tick a row to see how its network is loaded.", icon=":material/check_box:")


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Say the counts with three figures and a prefix."""
    units = {"parameters": "1", "macs": "1", "bytes": "B"}
    return frame.assign(**{name: [amount(float(value), unit) for value in frame[name]] for name, unit in units.items()})


def _columns(study: Study) -> dict[str, Any]:
    config = st.column_config
    percent = {name: config.NumberColumn(title, format="%.1f %%") for name, title in tables.SPARSITY_TITLES.items()}
    metrics = {
        name: config.NumberColumn(name, format=digits(metric.unit))
        for name, metric in snapshots.snapshot_metric_columns(study).items()
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
