"""The script of every session: which pages there are."""

from pathlib import Path

import streamlit as st

from winnow.dashboard import navigation

ICON = Path(__file__).parent / "icon.svg"

st.set_page_config(page_title="Winnow", page_icon=ICON, layout="wide")
st.logo(ICON, size="small")
of_a_run = [navigation.groups(), navigation.tasks(), navigation.explain(), navigation.prune()]
known = [navigation.runs(), navigation.train(), navigation.path(), *of_a_run, navigation.compare(), navigation.new()]
st.navigation(known, position="top").run()
