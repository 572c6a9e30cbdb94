"""The dashboard's router: `streamlit run dashboard/app.py`."""

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
ROOT = str(HERE.parent)
if ROOT not in sys.path:  # a checkout that is not installed: the script's own folder alone is on the path
    sys.path.insert(0, ROOT)

from dashboard import pages

st.set_page_config(page_title="Winnow", page_icon=HERE / "icon.svg", layout="wide")
st.navigation([pages.runs(), pages.train(), pages.new()], position="top").run()
