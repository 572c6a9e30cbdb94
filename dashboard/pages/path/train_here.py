"""Train here: a run at a place of a path where none has been trained, with all else as in the path."""

import streamlit as st

from winnow.dashboard import navigation
from winnow.dashboard.forms.run import start
from winnow.dashboard.frames.cost import per_epoch
from winnow.dashboard.shared.formatting import duration, level_word, plain, sentence
from winnow.engine.runs.launch import JobError
from winnow.engine.runs.study import Study
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import PathSpec, parse_many
from winnow.engine.specs.train import TrainSpec
from winnow.engine.studies.plan import plan

ASKED = "asked_of_path"  # in the session: what the scrubber asked for


def train_here(study: Study, spec: PathSpec, level: float) -> None:
    """Say what would be trained and what that costs, and start it on a click."""
    of = "target" if spec.targets else "strength"
    with st.container(border=True, key="train_here"):
        took = per_epoch(spec.base)
        cost = "" if took is None else f", {duration(took * spec.base.epochs)} at most as its like have taken"
        st.markdown(
            f"**Train at {plain(level_word(of, level))}**: seed {spec.seeds[0]}, {spec.base.epochs} epochs at "
            f"most{cost}. All else is as in this path, but that it starts from fresh weights."
        )
        with st.container(horizontal=True):
            wanted = st.button("Start this run", key="train_here_start", type="primary", icon=":material/play_arrow:")
            st.button("Leave it", key="train_here_not", on_click=st.session_state.pop, args=(ASKED, None))
        if not wanted:
            return
        try:
            run = start(spec_at(spec, level))
        except (SpecError, ValueError, JobError, OSError) as error:
            st.error(sentence(str(error)), icon=":material/error:")
            return
    st.session_state.pop(ASKED, None)
    navigation.open_run(run.id)


def spec_at(spec: PathSpec, level: float) -> TrainSpec:
    """Return the run that the path would make of another level, for its first seed."""
    grid = {"targets": (level,), "strengths": ()} if spec.targets else {"targets": (), "strengths": (level,)}
    asked = parse_many({**spec.model_dump(), **grid, "warm": False, "seeds": spec.seeds[:1]})
    return next(member.spec for member in plan(asked) if member.arm == "sparse")
