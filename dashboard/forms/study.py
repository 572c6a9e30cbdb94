"""The form for a new path or study: widgets → PathSpec or StudySpec, made from the settings of a run.

It has few fields: everything that decides a single run comes from a run that is there, or from the demo, so that the
form for a run (dashboard.forms.run) is not drawn twice. Nothing starts before its plan is shown: how many runs, how
many of them are done already, and how long they take as far as that is known. Exactly what was planned is started.
"""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import streamlit as st

from winnow.dashboard.forms.widgets import Values, field_row, field_widget, one_of
from winnow.dashboard.frames.cost import per_epoch
from winnow.dashboard.shared.entries import entered, entered_options, entered_place
from winnow.dashboard.shared.formatting import duration, level_word, plain, sentence
from winnow.data.joined import confirm_caches
from winnow.engine.runs import launch
from winnow.engine.runs.run import list_runs, runs_folder
from winnow.engine.runs.study import Study, create_study
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.study import Control, PathSpec, StudySpec, TailorSpec, parse_many
from winnow.engine.specs.train import TrainSpec, demo
from winnow.engine.studies.plan import plan
from winnow.engine.studies.scheduling.machine import this_machine
from winnow.engine.studies.spec_hash import KnownRuns

FORM = "study"
DEMO = "settings of the demo"
CONTROLS: dict[Control, str] = {
    "scratch": "same support, from scratch",
    "magnitude": "largest groups of the dense one",
    "unanimous": "groups that single tasks agree on",
    "small": "narrower dense network",
    "continued": "dense network trained on",
    "distilled": "dense network trained on, with itself as teacher",
    "sparse-distilled": "sparse, with the dense one as teacher",
    "magnitude-distilled": "largest groups, with the dense one as teacher",
}
Kind = Literal["path", "study", "tailor"]
KINDS: dict[Kind, str] = {"path": "Path", "study": "Study", "tailor": "Tailoring"}
MEANINGS: dict[Kind, str] = {
    "path": "One set of tasks, dense and at each sparsity: what does sparsity cost?",
    "study": "Sets of tasks, dense and sparse, with seeds and controls: is a sparse network as good as a dense one?",
    "tailor": "Sparse runs of each task alone: which stage of the trunk does each task need? Then a network with each "
    "head at its own stage, against the plain one.",
}
USUAL: dict[Kind, tuple[int, ...]] = {"path": (20, 40, 60, 80), "study": (20, 40, 60, 80), "tailor": (70,)}
"""Targets [%]."""
MODELS: dict[Kind, type[PathSpec] | type[StudySpec]] = {"path": PathSpec, "study": StudySpec, "tailor": TailorSpec}
PLANNED = "planned_study"
BASE_HELP = (
    "The run whose settings all others are made from: data, tasks, network, penalty, optimiser, balancing. Each run "
    "has one thread. It removes nothing while training, because it keeps its best network."
)


@dataclass(frozen=True)
class Planned:
    """What may be started: the spec, its runs one a row, and in words what they take."""

    spec: PathSpec | StudySpec
    runs: pd.DataFrame
    takes: str


def new_study() -> Study | None:
    """Draw the form; return the study that it has just created and started, if it has."""
    kind: Kind = one_of("What", KINDS, "study_kind", "path", quiet=True)
    st.caption(MEANINGS[kind])
    values = {"kind": kind, **_common(kind), **(_of_study() if kind == "study" else {})}
    if kind == "tailor":
        values |= field_row(TailorSpec, ["living", "projections", "compare", "definition"], form=f"{FORM}_{kind}")
    if st.button("Show the plan", key="study_plan", icon=":material/checklist:"):
        _plan(values)
    planned = st.session_state.get(PLANNED)
    return _offered(planned) if isinstance(planned, Planned) and planned.spec.kind == kind else None


def _common(kind: Kind) -> Values:
    """Ask for what both have: the base run, its length, the grid, the seeds."""
    model, form = MODELS[kind], f"{FORM}_{kind}" if kind == "tailor" else FORM
    columns = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        chosen, base = _base()
    key = f"{FORM}_name_{kind}"
    name = columns[1].text_input("Name", entered(key, str(kind)), max_chars=40, key=key, on_change="ignore")
    long = {
        "epochs": _length(columns[2], "epochs", "Epochs at most", (chosen, base)),
        "patience": _length(columns[3], "patience", "Patience [epochs]", (chosen, base)),
    }
    columns = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    values: Values = {"name": name}
    with columns[0]:
        values["targets"] = field_widget(model, "targets", USUAL[kind], form)
    for column, part in zip(columns[1:], ("strengths", "seeds", "workers"), strict=True):
        with column:
            values[part] = field_widget(model, part, form=FORM)
    with st.container(horizontal=True, vertical_alignment="center"):
        if kind != "tailor":
            values["warm"] = field_widget(model, "warm", form=f"{FORM}_{kind}")
        values["latency"] = field_widget(model, "latency", form=FORM)
    return {**values, "base": _changed(base, long)}


def _length(place: Any, name: str, label: str, base: tuple[str, TrainSpec]) -> Any:
    """Ask for a number of epochs; the default is that of the base, given with its name."""
    about = TrainSpec.model_fields[name].description
    key = f"{FORM}_{name}_{base[0]}"
    value = entered(key, getattr(base[1], name))
    return place.number_input(label, 0, 100_000, value=value, key=key, help=about, on_change="ignore")


def _changed(base: TrainSpec, long: Values) -> Values:
    """Return the base as a study may have it: fresh weights, no changes of the strength, no removal while training."""
    values = base.model_dump()
    values["penalty"] |= {"removal": 0}
    if not values["snapshots"]:
        del values["snapshots"]  # that of a path, or of a study, which keeps none
    return {**values, **long, "threads": 1, "start": None, "strength_changes": (), "target_changes": ()}


def _base() -> tuple[str, TrainSpec]:
    """Ask which settings the runs are made from; return what they are called, and their spec."""
    known = {run.id: run for run in list_runs()}
    key, names = f"{FORM}_base", [DEMO, *known]
    chosen = st.selectbox("Made from", names, index=entered_place(key, names), key=key, help=BASE_HELP)
    try:
        return chosen, known[chosen].spec if chosen in known else demo()
    except (SpecError, OSError, ValueError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return DEMO, demo()


def _of_study() -> Values:
    """Ask for what a study has besides."""
    values = field_row(StudySpec, ["subsets", "definition", "unseen", "distillation"], form=FORM)
    left, right = st.columns(2)
    values["controls"] = left.multiselect(
        "Controls",
        list(CONTROLS),
        default=entered_options(f"{FORM}_controls", CONTROLS),
        format_func=CONTROLS.__getitem__,
        key=f"{FORM}_controls",
        help=StudySpec.model_fields["controls"].description,
        placeholder="none",
        on_change="ignore",
    )
    with right:
        values["balancings"] = field_widget(StudySpec, "balancings", form=FORM)
    return values


def _plan(values: Values) -> None:
    """Keep the plan of what the values ask for, or say in one sentence what is wrong."""
    st.session_state.pop(PLANNED, None)
    try:
        spec = parse_many(values)
        members = plan(spec)
    except (SpecError, ValueError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    known = KnownRuns(runs_folder())
    runs = pd.DataFrame(
        {
            "arm": member.arm,
            "tasks": member.subset,
            "balancing": member.balancing,
            "sparsity": level_word(member.level.of, member.level.value),
            "seed": member.seed,
            "done already": not member.needs.keys and known.done(member.spec) is not None,
            "after": ", ".join(member.needs.keys),
        }
        for member in members
    )
    epochs = sum(m.spec.epochs for m, there in zip(members, runs["done already"], strict=True) if not there)
    st.session_state[PLANNED] = Planned(spec, runs, cost_text(spec, epochs))


def _offered(planned: Planned) -> Study | None:
    """Show the plan, and offer to start exactly that."""
    runs, there = len(planned.runs), int(planned.runs["done already"].sum())
    with st.container(border=True, key="study_planned"):
        st.markdown(f"**{plain(planned.spec.name)}: {runs} runs**, {there} of them already done. {planned.takes}")
        st.dataframe(
            planned.runs,
            key="study_plan_table",
            hide_index=True,
            placeholder="–",
            height="content" if runs <= 10 else 360,
        )
        if not st.button("Start these runs", key="study_submit", type="primary", icon=":material/play_arrow:"):
            return None
    return _started(planned.spec)


def cost_text(spec: PathSpec | StudySpec, epochs: int) -> str:
    """Say how long so many epochs of a study take, as far as earlier runs tell."""
    long = f"At most {epochs} epochs in all"
    if spec.scheduler or spec.cluster:
        return f"{long}, on a cluster."
    took, workers = per_epoch(spec.base), this_machine(spec.base.device).at_a_time(spec.base, spec.workers)
    long = f"{long}, {workers} runs at a time"
    if took is None:
        return f"{long}. How long that takes is not known: no run with this data and network on one thread has ended."
    return f"{long}: {duration(took * epochs / workers)} at most, judging by earlier runs like these."


def _started(spec: PathSpec | StudySpec) -> Study | None:
    try:
        confirm_caches(spec.base.data)
        study = create_study(spec)
        launch.start(study, place=launch.asked_place(spec.model_dump()))  # seen and confirmed in the form just now
    except (launch.JobError, OSError) as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return None
    st.session_state.pop(PLANNED, None)
    return study
