"""The views of a path: the scrubber first; then its curve, norms, order of death, what was kept on the way, tables.

Only the open view is drawn.
"""

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.canvas.path_scrubber import READING, Wish, path_scrubber
from winnow.dashboard.figures import death_order, norm_path, path_curve
from winnow.dashboard.frames import paths
from winnow.dashboard.pages.path import study_figures
from winnow.dashboard.pages.path.snapshots import kept_on_the_way
from winnow.dashboard.pages.path.study_tabs import about, seeds, tables, the_runs
from winnow.dashboard.pages.path.train_here import ASKED, train_here
from winnow.dashboard.shared.panel import draw, explain
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import PathSpec

TABS = ("Scrub", "Curve", "Norms", "Order of death", "Kept on the way", "Table", "Seeds", "Its runs")


def path_views(study: Study, spec: PathSpec) -> None:
    """Draw the open view of a path."""
    made = st.tabs(TABS, key="along", on_change="rerun", bind="query-params")
    views = (_scrub, _curve, _norms, _deaths, kept_on_the_way, tables, seeds, the_runs)
    for tab, view in zip(made, views, strict=True):
        if tab.open:
            with tab:
                view(study)


def _scrub(study: Study) -> None:
    spec = study.spec
    if not isinstance(spec, PathSpec) or not len(paths.networks(study).norms):
        st.info("The map is drawn once a run of the path has ended.", icon=":material/grid_on:")
        return
    course, sent = study_figures.course(study)
    path_scrubber(course, sent, "path_scrubber", _note)
    gone = len(paths.points(study)) - len(course.networks.points)
    missing = f" · the runs of {gone} point{'s' if gone > 1 else ''} are gone, or of another network" if gone else ""
    explain(lambda: paths.points(study), "path", READING, about(study, "val") + missing)
    _granted(study, spec)


def _note(wish: Wish) -> None:
    st.session_state[ASKED] = wish


def _granted(study: Study, spec: PathSpec) -> None:
    """Do what the scrubber was asked: open a run, or offer to train where none was trained."""
    wish = st.session_state.get(ASKED)
    if not isinstance(wish, Wish) or wish.path != study.id:
        return
    if wish.run:
        del st.session_state[ASKED]
        navigation.open_run(wish.run)
    train_here(study, spec, wish.level)


def _curve(study: Study) -> None:
    draw(study_figures.curve(study), "path_curve", path_curve.READING, about(study, "val"))


def _norms(study: Study) -> None:
    names = [layer.name for layer in paths.networks(study).layers]
    if not names:
        st.info("The norms come with the first run that has ended.", icon=":material/hourglass:")
        return
    layer = st.selectbox("Layer", names, key="path_layer", label_visibility="collapsed", width=300)
    draw(study_figures.norms(study, layer), "norm_path", norm_path.READING, about(study))


def _deaths(study: Study) -> None:
    draw(study_figures.deaths(study), "death_order", death_order.READING, about(study))
