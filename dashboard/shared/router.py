"""The script of every session: the links to all pages, and the page that is open.

It does not stand beside the folder `pages`: the first visitor would be told that there is no such page, as Streamlit
takes a folder of that name beside the script for its own.
"""

from pathlib import Path

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.shared import address

ICON = Path(__file__).resolve().parents[1] / "icon.svg"

st.set_page_config(page_title="Winnow", page_icon=ICON, layout="wide")
st.logo(ICON, size="small")
opened = st.navigation(navigation.pages(), position="hidden")
address.arrive(opened.url_path)
if navigation.refused_root():
    st.stop()
if navigation.presented():
    navigation.present(opened)
else:
    navigation.bar(opened)
    opened.run()
