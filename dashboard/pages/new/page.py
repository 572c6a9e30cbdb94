"""The page that describes a run and starts it."""

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.forms.run import new_run


def page() -> None:
    """Draw the form; once it has started a run, show that run."""
    st.subheader("New run", anchor=False)
    st.caption(
        "Everything that decides the result is written down before the start: the same description gives the same bits."
    )
    if run := new_run():
        navigation.go("train", run=run.id)
