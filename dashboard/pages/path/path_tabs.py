"""The views of a path: the scrubber first; then its curve, norms, order of death, snapshots, tables.

Only the open view is drawn. Where the scrubber stands at a place that has no network, a run can be started there, like
the others of the path.
"""

from pathlib import Path

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.canvas.path_scrubber import READING, Chosen, Request, path_scrubber, replayable_path
from winnow.dashboard.figures import death_order, norm_path, path_curve
from winnow.dashboard.forms.starting import start_run
from winnow.dashboard.frames import paths
from winnow.dashboard.frames.answers import of_study
from winnow.dashboard.frames.concepts import names_by_layer
from winnow.dashboard.frames.cost import per_epoch
from winnow.dashboard.pages.path import study_figures
from winnow.dashboard.pages.path.snapshots import kept_on_the_way
from winnow.dashboard.pages.path.study_tabs import about, seeds_view, tables, the_runs
from winnow.dashboard.shared import address
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.formatting import duration, level_word, plain, sentence
from winnow.dashboard.shared.panel import DrawnFigure, draw, explain
from winnow.dashboard.shared.selection import say_absent, select, selected
from winnow.engine.runs.launch import JobError
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import PathSpec, parse_many
from winnow.engine.specs.train import TrainSpec
from winnow.engine.studies.plan import plan

TABS = ("Scrub", "Curve", "Norms", "Order of death", "Snapshots", "Table", "Seeds", "Its runs")
ASKED = "asked_of_path"  # in the session: what the scrubber asked for


def path_views(study: Study, spec: PathSpec) -> None:
    """Draw the open view of a path."""
    answer(of_study.path_answer(paths.points(study)))
    views = (_scrub, _curve, _norms, _deaths, kept_on_the_way, tables, seeds_view, the_runs)
    for tab, view in zip(address.tabs("along", TABS), views, strict=True):
        if tab.open:
            with tab:
                view(study)


def _scrub(study: Study) -> None:
    spec = study.spec
    if not isinstance(spec, PathSpec) or not len(paths.networks(study).norms):
        st.info("The map is drawn once a run of the path has ended.", icon=":material/grid_on:")
        return
    course, sent = study_figures.course(study)
    found = selected(course.networks.layers, spec.base.penalty.groups, "this path's network")
    runs = [Run(study.root / Path(str(run)).name) for run in course.networks.points["run"]]
    called = [names_by_layer(run, spec.base.penalty.groups) for run in runs]
    path_scrubber(course, sent, Chosen(found.cell, called), _note, select)
    say_absent(found)
    gone = len(paths.points(study)) - len(course.networks.points)
    missing = f" · {gone} point{'s' if gone > 1 else ''} left out: run removed, or other network" if gone else ""
    drawn = DrawnFigure("maps", "path_scrubber", lambda: replayable_path(sent))
    explain(lambda: paths.points(study), "path", READING, about(study, "val") + missing, drawn)
    _granted(study, spec)


def _note(request: Request) -> None:
    st.session_state[ASKED] = request


def _granted(study: Study, spec: PathSpec) -> None:
    """Do what the scrubber was asked: open a run, or offer to train where none was trained."""
    request = st.session_state.get(ASKED)
    if not isinstance(request, Request) or request.path != study.id:
        return
    if request.run:
        del st.session_state[ASKED]
        navigation.go("train", run=request.run)
    _train_here(study, spec, request.level)


def _train_here(study: Study, spec: PathSpec, level: float) -> None:
    """Say what would be trained and what that costs, and start it on a click."""
    of = "target" if spec.targets else "strength"
    with st.container(border=True, key="train_here"):
        took = per_epoch(spec.base)
        cost = "" if took is None else f" Runs like this one took at most {duration(took * spec.base.epochs)}."
        st.markdown(
            f"**Train at {plain(level_word(of, level))}**: seed {spec.seeds[0]}, at most {spec.base.epochs} epochs, "
            f"from fresh weights. Everything else is as in this path.{cost}"
        )
        with st.container(horizontal=True):
            wanted = st.button("Start this run", key="train_here_start", type="primary", icon=":material/play_arrow:")
            st.button("Cancel", key="train_here_not", on_click=st.session_state.pop, args=(ASKED, None))
        if not wanted:
            return
        try:
            run = start_run(spec_at(spec, level))
        except (SpecError, ValueError, JobError, OSError) as error:
            st.error(sentence(str(error)), icon=":material/error:")
            return
    st.session_state.pop(ASKED, None)
    navigation.go("train", run=run.id)


def spec_at(spec: PathSpec, level: float) -> TrainSpec:
    """Return the run that the path would make of another level, for its first seed."""
    grid = {"targets": (level,), "strengths": ()} if spec.targets else {"targets": (), "strengths": (level,)}
    asked = parse_many({**spec.model_dump(), **grid, "warm": False, "seeds": spec.seeds[:1]})
    return next(member.spec for member in plan(asked) if member.arm == "sparse")


def _curve(study: Study) -> None:
    draw(study_figures.curve_chart(study), "path_curve", path_curve.READING, about(study, "val"))


def _norms(study: Study) -> None:
    names = [layer.name for layer in paths.networks(study).layers]
    if not names:
        st.info("The norms appear with the first run that has ended.", icon=":material/hourglass:")
        return
    widget = address.following("path_layer", names, names[0])
    layer = st.selectbox("Layer", names, label_visibility="collapsed", width=300, **widget)
    draw(study_figures.norms_chart(study, layer), "norm_path", norm_path.READING, about(study))


def _deaths(study: Study) -> None:
    draw(study_figures.deaths_chart(study), "death_order", death_order.READING, about(study))
