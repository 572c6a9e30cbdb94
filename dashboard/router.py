"""The script of every session: which pages there are."""

from pathlib import Path

import streamlit as st

from dashboard import pages

ICON = Path(__file__).parent / "icon.svg"

st.set_page_config(page_title="Winnow", page_icon=ICON, layout="wide")
st.logo(ICON, size="small")
of_a_run = [pages.groups(), pages.tasks(), pages.explain(), pages.prune()]
known = [pages.runs(), pages.train(), pages.path(), *of_a_run, pages.compare(), pages.new()]
st.navigation(known, position="top").run()
