"""The methods side by side, as measured on this very run; the one to believe is marked."""

import pandas as pd
import streamlit as st

from winnow.dashboard.frames import trust
from winnow.dashboard.shared.explanation import BADGES, METHODS
from winnow.dashboard.shared.panel import explain
from winnow.engine.runs.derived import DerivedJob

READING = (
    "Medians over layers and tasks. With ablation: does what is said to matter matter? Shares: is it that task's? "
    "Halves: do other images say the same? After shuffling the heads: has to fall below 0.2. ★: the method whose "
    "weaker correlation with ablation is the largest."
)
TITLES = {
    "rank_correlation": "with ablation",
    "share_correlation": "shares, with ablation",
    "split_half": "between halves",
    "head_randomisation": "heads shuffled",
}


def method_table(work: DerivedJob, about: str) -> None:
    """Draw one row per method of an explanation."""
    frame = trust.methods(work)
    shown = pd.DataFrame(
        {
            "": ["★" if best else "" for best in frame["recommended"]],
            "method": [METHODS.get(name, name) for name in frame["method"]],
            **{name: frame[name] for name in TITLES},
            "verdict": [BADGES[colour][0] for colour in frame["colour"]],
        }
    )
    config = st.column_config
    st.dataframe(
        shown,
        key="methods",
        hide_index=True,
        row_height=30,
        height="content",
        placeholder="–",
        column_config={
            "": config.TextColumn(width=30),
            **{name: config.NumberColumn(title, format="%.2f", width=110) for name, title in TITLES.items()},
        },
    )
    explain(lambda: frame, "methods", READING, about)
