"""What is in a data set, and is anything wrong with it? Its samples with all targets, what these hold, the findings."""

import streamlit as st
from pydantic import ValidationError

from winnow.dashboard.frames import looks
from winnow.dashboard.frames.answers import of_data
from winnow.dashboard.pages.data import views
from winnow.dashboard.shared import address
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.entries import entered, entered_place
from winnow.dashboard.shared.formatting import duration, elapsed, moment, plain, sentence
from winnow.dashboard.shared.progress import message, state_line
from winnow.dashboard.shared.run_bar import act
from winnow.data.checking.recognising import layout_names
from winnow.data.registered import forget, named_spec, register, registered
from winnow.engine.runs import launch
from winnow.engine.runs.launch import JobError
from winnow.engine.runs.look import Look, create_look, list_looks
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.frozen import first_line
from winnow.engine.specs.look import LookSpec

DATA = "data"  # in the address: the data set
EVERY = 1.0  # seconds between two looks at a live worker
NONE = (
    "{} has not been examined yet. A look reads every sample once, checks it, counts what the targets hold, and keeps "
    "pictures of a few. It changes no file of yours."
)

RECOGNISED = "recognised"
ABOUT = (
    "The folder stays where it is. The form of a new run and --dataset then offer the name. The layout is recognised "
    "by its files, or by a dataset.toml of your own."
)


def page() -> None:
    """Draw what the newest look at a data set found, or offer to look at it."""
    try:
        known = looks.data_sources()
    except ValueError as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    named = address.named(DATA)
    chosen = st.selectbox(
        "Data set",
        list(known),
        format_func=lambda name: known.get(name, name),
        label_visibility="collapsed",
        width=460,
        **address.following(DATA, known, next(iter(known))),
    )
    if named is not None and named not in known:
        st.error(f"There is no data set {plain(named)} here. Choose another.", icon=":material/link_off:")
    elif chosen is not None:
        _shown(chosen)
    _registering(chosen if named is None or named in known else None)


def _shown(name: str) -> None:
    """Draw the newest look that is done, and the one that goes on."""
    found = list_looks(name)
    live = next((look for look in found if look.status.state in LIVE), None)
    done = next((look for look in found if look.recorded_status().state == "done"), None)
    if done is not None:
        _answered(done)
    elif live is None:
        st.info(NONE.format(plain(name)), icon=":material/search:")
    if live is not None:
        st.fragment(_progress, run_every=EVERY)(live)
    elif found and found[0] is not done:
        message(found[0].status)
    if live is None and st.button("Look again" if done else "Look at it", key="look", icon=":material/search:"):
        _start(name)
    if done is not None:
        views.draw_views(done)


def _answered(look: Look) -> None:
    """Say what was found, and when."""
    findings = looks.look_table(look, "findings")
    answer(of_data.data_answer(looks.look_table(look, "splits"), looks.look_table(look, "coverage"), len(findings)))
    status = look.recorded_status()
    st.caption(f"Looked at {moment(status.finished)}, in {duration(elapsed(status))}. Files may have changed since.")


def _start(name: str) -> None:
    try:
        look = create_look(LookSpec(name=name, data=named_spec(name)))
        launch.start(look)
    except (ValueError, JobError, OSError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    st.rerun()


def _progress(look: Look) -> None:
    """Draw how far a look is; once it has ended, draw the page."""
    status = look.status
    if status.state not in LIVE:
        st.rerun()
    state_line(status, [])
    st.progress(min(max(status.progress, 0.0), 1.0), text=plain(status.phase))
    st.button("Stop", key="stop_look", icon=":material/stop:", on_click=lambda: act(look, lambda: launch.stop(look)))


def _registering(chosen: str | None) -> None:
    """Draw the form that registers a folder, and the button that takes the chosen data set off the list."""
    with st.expander("Register a data set", icon=":material/create_new_folder:", key="registering"):
        columns = st.columns([2, 4, 2])
        name = columns[0].text_input("Name", entered("register_name", ""), max_chars=80, key="register_name")
        folder = columns[1].text_input("Folder", entered("register_folder", ""), max_chars=4096, key="register_folder")
        layouts = [RECOGNISED, *layout_names()]
        place = entered_place("register_layout", layouts)
        layout = columns[2].selectbox("Layout", layouts, index=place, key="register_layout")
        st.caption(ABOUT)
        if st.button("Register", key="register", icon=":material/add:"):
            _register(name, folder, "" if layout == RECOGNISED else layout)
    if chosen in registered() and st.button(
        f"Take {plain(chosen or '')} off the list", key="forget", icon=":material/playlist_remove:", type="tertiary"
    ):
        forget(str(chosen))
        address.address_moved({DATA: None})


def _register(name: str, folder: str, layout: str) -> None:
    try:
        if not folder.strip():
            raise ValueError("`folder` must be the folder with the files, got none. Enter its full path.")
        register(name.strip(), folder.strip(), layout)
    except (ValueError, OSError) as error:
        said = first_line(error) if isinstance(error, ValidationError) else str(error)
        st.error(sentence(" ".join(said.split())), icon=":material/error:")
        return
    address.address_moved({DATA: name.strip()})
