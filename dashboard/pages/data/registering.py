"""Registering a folder as a data set, and taking it off the list again."""

import streamlit as st
from pydantic import ValidationError

from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import plain, sentence
from winnow.data.checking.recognising import layout_names
from winnow.data.registered import forget, register, registered
from winnow.engine.specs.frozen import first_line

RECOGNISED = "recognised"
ABOUT = (
    "The folder stays where it is. The form of a new run and --dataset then offer the name. The layout is recognised "
    "by its files, or by a dataset.toml of your own."
)


def registering(chosen: str | None) -> None:
    """Draw the form that registers a folder, and the button that takes the chosen data set off the list."""
    with st.expander("Register a data set", icon=":material/create_new_folder:", key="registering"):
        columns = st.columns([2, 4, 2])
        name = columns[0].text_input("Name", max_chars=80, key="register_name")
        folder = columns[1].text_input("Folder", max_chars=4096, key="register_folder")
        layout = columns[2].selectbox("Layout", [RECOGNISED, *layout_names()], key="register_layout")
        st.caption(ABOUT)
        if st.button("Register", key="register", icon=":material/add:"):
            _register(name, folder, "" if layout == RECOGNISED else layout)
    if chosen in registered() and st.button(
        f"Take {plain(chosen or '')} off the list", key="forget", icon=":material/playlist_remove:", type="tertiary"
    ):
        forget(str(chosen))
        address.moved({"data": None})


def _register(name: str, folder: str, layout: str) -> None:
    try:
        if not folder.strip():
            raise ValueError("`folder` must be the folder with the files, got none. Enter its full path.")
        register(name.strip(), folder.strip(), layout)
    except (ValueError, OSError) as error:
        said = first_line(error) if isinstance(error, ValidationError) else str(error)
        st.error(sentence(" ".join(said.split())), icon=":material/error:")
        return
    address.moved({"data": name.strip()})
