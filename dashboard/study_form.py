"""The form for a new path or study: widgets → PathSpec or StudySpec, made from a run's description.

Few leaves: everything that decides a single run comes from a run that is there, or from the demo's description, so that
the form for a run (dashboard.forms) need not be drawn twice. Nothing starts before its plan stands there: how many
runs, how many of them are there already, how long they take as far as that is known. What is started is what was
planned.
"""

from typing import Any, Literal

import streamlit as st

from dashboard.frames.cost import per_epoch
from dashboard.leaves import Values, leaf, line
from dashboard.words import duration, level_word, plain, sentence
from engine import jobs
from engine.runs import list_runs, runs_folder
from engine.scheduling.local import room
from engine.spec import TrainSpec, demo
from engine.specs.frozen import SpecError
from engine.specs.study import Control, PathSpec, StudySpec, parse_many
from engine.studies.folder import Study, create_study
from engine.studies.plan import plan
from engine.studies.spec_hash import Known

FORM = "study"
DEMO = "the demo's description"
CONTROLS: dict[Control, str] = {
    "scratch": "same support, from scratch",
    "magnitude": "largest groups of the dense one",
    "unanimous": "groups that single tasks agree on",
    "small": "narrower dense network",
}
Kind = Literal["path", "study"]
KINDS: dict[Kind, str] = {"path": "Path", "study": "Study"}
MEANINGS: dict[Kind, str] = {
    "path": "One set of tasks at each sparsity, and dense: what does the strength buy?",
    "study": "Sets of tasks, dense and sparse, seeds and controls: is the sparse network as good as the dense one?",
}
USUAL = (20.0, 40.0, 60.0, 80.0)  # targets [%]
PLANNED = "planned_study"


def new_study() -> Study | None:
    """Draw the form; return the study that it has just created and started, if it has."""
    kind = st.segmented_control(
        "What",
        list(KINDS),
        format_func=KINDS.__getitem__,
        default="path",
        required=True,
        key="study_kind",
        label_visibility="collapsed",
    )
    st.caption(MEANINGS[kind])
    values = {"kind": kind, **_common(kind), **(_of_study() if kind == "study" else {})}
    if st.button("Show the plan", key="study_plan", icon=":material/checklist:"):
        st.session_state[PLANNED] = values
    planned = st.session_state.get(PLANNED)
    return _planned(planned) if planned and planned["kind"] == kind else None


def _common(kind: Kind) -> Values:
    """Ask for what both have: the base run, its length, the grid, the seeds."""
    model: type[PathSpec] | type[StudySpec] = PathSpec if kind == "path" else StudySpec
    columns = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        base = _base()
    values: Values = {}
    with columns[1]:
        values["name"] = st.text_input("Name", kind, max_chars=40, key=f"{FORM}_name_{kind}", on_change="ignore")
    long: Values = {}
    for place, (name, label) in enumerate((("epochs", "Epochs at most"), ("patience", "Patience [epochs]")), 2):
        info = TrainSpec.model_fields[name]
        long[name] = columns[place].number_input(
            label,
            0,
            100_000,
            value=getattr(base, name),
            key=f"{FORM}_{name}_{base.name}",
            help=info.description,
            on_change="ignore",
        )
    columns = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        values["targets"] = leaf(model, "targets", USUAL, FORM)
    for column, name in zip(columns[1:], ("strengths", "seeds", "workers"), strict=True):
        with column:
            values[name] = leaf(model, name, form=FORM)
    if kind == "path":
        values["warm"] = leaf(PathSpec, "warm", form=FORM)
    return {**values, "base": {**base.model_dump(), **long, "threads": 1, "start": None, "strength_changes": ()}}


def _base() -> TrainSpec:
    """Ask which description the runs are made from."""
    known = {run.id: run for run in list_runs()}
    chosen = st.selectbox(
        "Made from", [DEMO, *known], key=f"{FORM}_base", help=str(StudySpec.model_fields["base"].description)
    )
    try:
        return known[chosen].spec if chosen in known else demo()
    except (SpecError, OSError, ValueError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return demo()


def _of_study() -> Values:
    """Ask for what a study has besides."""
    values = line(StudySpec, ["subsets", "definition"], form=FORM)
    left, right = st.columns(2)
    values["controls"] = left.multiselect(
        "Controls",
        list(CONTROLS),
        format_func=CONTROLS.__getitem__,
        key=f"{FORM}_controls",
        help=str(StudySpec.model_fields["controls"].description),
        on_change="ignore",
    )
    with right:
        values["balancings"] = leaf(StudySpec, "balancings", form=FORM)
    return values


def _planned(values: dict[str, Any]) -> Study | None:
    """Say what it takes, and offer to start exactly that."""
    try:
        spec = parse_many(values)
        members = plan(spec)
    except (SpecError, ValueError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return None
    known = Known(runs_folder())
    there = sum(not member.needs.keys and known.done(member.spec) is not None for member in members)
    takes = cost(spec, len(members) - there)
    with st.container(border=True, key="study_planned"):
        st.markdown(f"**{plain(spec.name)}: {len(members)} runs**, {there} of them there already. {takes}")
        st.dataframe(
            [
                {
                    "arm": member.arm,
                    "tasks": member.subset,
                    "balancing": member.balancing,
                    "sparsity": level_word(member.level.of, member.level.value),
                    "seed": member.seed,
                    "after": ", ".join(member.needs.keys),
                }
                for member in members
            ],
            key="study_plan_table",
            hide_index=True,
            height="content" if len(members) <= 10 else 360,
        )
        if not st.button("Start these runs", key="study_submit", type="primary", icon=":material/play_arrow:"):
            return None
    return _started(spec)


def cost(spec: PathSpec | StudySpec, runs: int) -> str:
    """Say how long some runs of a study take, as far as runs like them tell."""
    took = per_epoch(spec.base)
    workers = spec.workers or room(spec.base.threads)
    long = f"{spec.base.epochs} epochs each at most, {workers} at a time"
    if spec.scheduler or spec.cluster:
        return f"{long.rpartition(',')[0]}, on a cluster."
    if took is None:
        return (
            f"{long}. How long that takes is not known: no run of this data and network on one thread has ended here."
        )
    return f"{long}: {duration(took * spec.base.epochs * -(-runs // workers))} at most, as runs like these have taken."


def _started(spec: PathSpec | StudySpec) -> Study | None:
    try:
        study = create_study(spec)
        jobs.start(study)
    except (jobs.JobError, OSError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return None
    st.session_state.pop(PLANNED, None)
    return study
