"""The first page of an empty folder: what this is, and one button that makes something to look at."""

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.forms.starting import start_run
from winnow.dashboard.shared.formatting import plain, sentence
from winnow.dashboard.shared.watching import watched
from winnow.engine.runs.launch import JobError
from winnow.engine.runs.run import list_runs, runs_folder
from winnow.engine.specs.train import demo as demo_spec

LINKS = (
    "Not listed: {}. Links are left out so that nothing outside the runs folder is read. Copy the run into the runs "
    "folder, or set WINNOW_RUNS to the folder that contains it."
)


def say_links() -> None:
    """Say which runs are not listed because they are links to folders elsewhere."""
    root = runs_folder()
    entries = sorted(root.iterdir()) if root.is_dir() else []
    names = [entry.name for entry in entries if entry.is_symlink() and (entry / "spec.json").is_file()]
    if names:
        st.caption(LINKS.format(plain(", ".join(names))))


def welcome() -> None:
    """Say what Winnow is and offer the demo run; a run that is started elsewhere takes its place."""
    nothing: list[str] = []
    watched("welcome", nothing, lambda: [run.id for run in list_runs()])
    say_links()
    with st.container(width=760):
        st.title("Winnow")
        st.markdown(
            "Winnow trains one network for several tasks under group sparsity: whole channels become exactly zero and "
            "can be removed. Here you see which channels survive, where, and what the removal costs each task."
        )
        st.space("small")
        with st.container(horizontal=True, vertical_alignment="center"):
            demo = st.button("Start the demo run", key="start_demo", type="primary", icon=":material/play_arrow:")
            navigation.link("new", "Describe another run")
        st.caption("The demo takes about 2 minutes on 2 cores: 600 generated rooms, three tasks, 15 epochs.")
        if demo:
            _start_demo()
        st.markdown("Or in a terminal: `winnow demo`")
        st.caption(f"Runs are kept in {plain(str(runs_folder()))}; set the variable WINNOW_RUNS to use another folder.")


def _start_demo() -> None:
    try:
        identity = start_run(demo_spec()).id
    except (JobError, OSError) as error:
        st.error(f"The demo could not be started: {sentence(str(error))}", icon=":material/error:")
    else:
        navigation.go("train", run=identity)
