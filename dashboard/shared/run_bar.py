"""The bar on top of a page about one run: its selector, and what the page puts beside it."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from winnow.dashboard.shared.run_choice import chosen
from winnow.dashboard.shared.welcome import welcome
from winnow.engine.runs.run import Run, list_runs


def run_bar() -> tuple[Run, DeltaGenerator] | None:
    """Let the user choose a run; return it and the bar. Where there is none yet, draw the welcome and return None."""
    runs = {run.id: run for run in list_runs()}
    if not runs:
        welcome()
        return None
    bar = st.container(horizontal=True, vertical_alignment="center")
    with bar:
        return runs[chosen(list(runs))], bar
