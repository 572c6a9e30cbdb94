"""What does the strength buy? A path to scrub through, a study's tables, and the form for a new one.

A live study redraws its state every second and its results every few; one that has ended stands still.
"""

import streamlit as st

from winnow.dashboard.forms.study import new_study
from winnow.dashboard.frames import studies
from winnow.dashboard.pages.path.path_tabs import path_views
from winnow.dashboard.pages.path.study_status import standing
from winnow.dashboard.pages.path.study_tabs import study_views
from winnow.dashboard.shared.formatting import sentence
from winnow.dashboard.shared.run_choice import chosen_study, frozen, show_study
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import PathSpec

EVERY = 5.0  # s between two drawings of a live study's results: its tables are written as often
EMPTY = (
    "Nothing has been compared yet. A path trains one set of tasks at several sparsities and shows what each costs; a "
    "study trains sets of tasks, dense and sparse, with controls and several seeds, and gives the tables of a paper. "
    "Both are made of ordinary runs; the plan says how many, and how long they take, before anything starts."
)
WAITING = "The results stand here as soon as the first run has ended."


def page() -> None:
    """Draw the chosen study or path."""
    known = {study.id: study for study in studies.studies()}
    if not known:
        st.subheader("What does sparsity buy?", anchor=False)
        st.markdown(EMPTY)
        _form()
        st.markdown("Or in a terminal: `winnow path`, `winnow study`")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        study = known[chosen_study(list(known))]
        live = study.status.state in LIVE
        still = frozen(live)
    if _readable(study):
        st.fragment(standing, run_every=EVERY / 5 if live else None)(study, study.status.state)
        st.fragment(_results, run_every=EVERY if live and not still else None)(study)
    st.space("small")
    with st.expander("New path or study", icon=":material/add:", key="another_study"):
        _form()


def _results(study: Study) -> None:
    if not studies.begun(study):
        if study.status.state in LIVE:
            st.info(WAITING, icon=":material/hourglass:")
        return
    if isinstance(study.spec, PathSpec):
        path_views(study, study.spec)
    else:
        study_views(study)


def _readable(study: Study) -> bool:
    """Return whether the spec can be read; say it where it can't."""
    try:
        return bool(study.spec)
    except (OSError, SpecError, ValueError) as error:
        st.error(f"This study can't be shown: {sentence(str(error))}", icon=":material/error:")
        return False


def _form() -> None:
    if started := new_study():
        show_study(started.id)
