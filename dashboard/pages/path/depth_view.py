"""The depth advice of a tailoring, and what the tailored network gains over the plain one."""

from pathlib import Path

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import depth_advice
from winnow.dashboard.figures.depth_advice import READING
from winnow.dashboard.frames import studies
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import Chart, draw, explain
from winnow.engine.runs.study import Study

ADVICE = (
    "The stage of the deepest layer that is alive in all sparse runs of the task. By seed: the stage that each seed "
    "alone would give. It is a rule of thumb; the comparison below says whether it pays."
)
COMPARED = (
    "Mean ± standard deviation over seeds. The difference is tailored minus plain, paired by seed, with its 95 % "
    "interval. Both networks are dense and have the same data, epochs, optimiser and seeds."
)


def depth_view(study: Study) -> None:
    """Draw the advice as a figure and a table, then the comparison of the two networks."""
    about = f"{plain(study.spec.name)} · {plain(study.id)} · seeds {', '.join(map(str, study.spec.seeds))}"
    draw(_chart(study.path, studies.study_versions(study, "depth")), "depth_advice", READING, about)
    advice = studies.study_table(study, "advice")
    if advice.empty:
        return
    config = st.column_config
    st.dataframe(
        advice,
        key="depth_table",
        hide_index=True,
        column_config={
            "layer": config.TextColumn("deepest living layer"),
            "stages": config.NumberColumn("stages in all"),
            "by_seed": config.TextColumn("by seed"),
        },
    )
    explain(lambda: advice, "depth_table", ADVICE, about)
    st.subheader("The tailored network and the plain one", anchor=False)
    frame = studies.tailored_and_plain(study)
    if frame.empty:
        st.caption("The comparison appears once a tailored and a plain network of one seed are trained.")
        return
    st.dataframe(frame, key="tailored_table", hide_index=True, height="content" if len(frame) <= 15 else 560)
    explain(lambda: frame, "tailored_table", COMPARED, about)


@latest(16)
def _chart(path: Path, _tables: tuple[Version, ...]) -> Chart:
    study = Study(path)
    frame: pd.DataFrame = studies.study_table(study, "depth")
    return Chart(depth_advice.depth_advice(frame, study.spec.base.tasks), frame)
