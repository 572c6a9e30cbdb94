"""The form for a new run: widgets → TrainSpec.

Defaults, limits and explanations are read from the leaves of the spec, so that form, command line and README say the
same. The widgets guide the hand; what counts is `engine.specs.train.parse`, which checks everything again on the
server: nothing is written or started unless it agrees. Two widgets redraw the page: the data set, as it decides which
tasks there are, and the way in which sparsity is asked for.
"""

from typing import Any, Literal

import streamlit as st

from winnow.dashboard.forms.widgets import Values, leaf, line
from winnow.dashboard.shared.formatting import plain, sentence
from winnow.data.catalog import DATASETS
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.specs.data import DigitsData, PlantedData, ScenesData
from winnow.engine.specs.frozen import Frozen, SpecError
from winnow.engine.specs.train import NetworkSpec, OptimiserSpec, PenaltySpec, TrainSpec, parse

DATA: dict[str, type[Frozen]] = {"scenes": ScenesData, "digits": DigitsData, "planted": PlantedData}
Way = Literal["target", "strength"]
WAYS: dict[Way, str] = {"target": "target", "strength": "strength λ"}
USUAL_TARGET = 50.0  # %
MEANINGS: dict[Way, str] = {
    "target": "This share of the penalised layers will be exactly zero: λ is moved until it is, then the zeros are "
    "held and the rest is refitted without a penalty.",
    "strength": "How hard every group is pulled towards zero: 0 trains the dense network, a larger strength zeroes "
    "more groups, sooner. It can be changed while the run is live.",
}
KIND = ["penalty", "groups", "scope", "weights", "mix", "concavity", "normalisation", "strength_of"]
COURSE = ["warm_up", "ramp", "refit", "floor", "removal"]


def new_run() -> Run | None:
    """Draw the form; return the run that it has just created and started, if it has."""
    data, tasks = _data()
    basic, learning = _essentials()
    way, sparsity = _sparsity()
    with st.expander("Advanced", icon=":material/tune:", key="new_advanced"):
        advanced = _advanced(way)
    values = {
        **basic,
        **advanced["run"],
        "tasks": tasks,
        "data": data,
        "network": advanced["network"],
        "penalty": {**sparsity, **advanced["penalty"]},
        "balancing": advanced["balancing"],
        "optimiser": {**learning, **advanced["optimiser"]},
    }
    return _submitted(values)


def start(spec: TrainSpec) -> Run:
    """Create a run and start its worker.

    Raises:
        OSError: the run folder can't be written, or no process can be started.

    """
    run = create(spec)
    launch.start(run)
    return run


def _data() -> tuple[Values, list[str]]:
    """Ask for the data set and its tasks."""
    left, right = st.columns(2)
    name = left.selectbox("Data set", list(DATA), key="new_dataset")
    fields = list(DATASETS[name].fields)
    left.caption(plain(DATASETS[name].summary))
    about = "One head is trained per task; all share the trunk. None named: the first three."
    tasks = right.multiselect(
        "Tasks", fields, default=fields[:3], key=f"new_tasks_{name}", help=about, on_change="ignore"
    )
    return {
        "dataset": name,
        **line(DATA[name], [leaf for leaf in DATA[name].model_fields if leaf != "dataset"]),
    }, tasks


def _essentials() -> tuple[Values, Values]:
    """Ask for what every run needs besides its sparsity: the run's own leaves, the optimiser's."""
    columns = st.columns(4)
    basic: Values = {}
    for column, name in zip(columns, ("name", "epochs", "batch_size"), strict=False):
        with column:
            basic[name] = leaf(TrainSpec, name)
    with columns[3]:
        learning = {"learning_rate": leaf(OptimiserSpec, "learning_rate")}
    return basic, learning


def _sparsity() -> tuple[Way, Values]:
    """Ask for a target or for a strength; return which, and the leaves of the penalty that say it."""
    columns = st.columns(4, vertical_alignment="bottom")
    with columns[0]:
        way: Way = st.segmented_control(
            "Sparsity", list(WAYS), format_func=WAYS.__getitem__, default="target", required=True, key="new_way"
        )
    values: Values = {}
    with columns[1]:
        if way == "target":
            values["target"] = leaf(PenaltySpec, "target", USUAL_TARGET)
        else:
            values["strength"] = leaf(PenaltySpec, "strength")
    if way == "target":
        with columns[2]:
            values["target_of"] = leaf(PenaltySpec, "target_of")
    st.caption(MEANINGS[way])
    return way, values


def _advanced(way: Way) -> dict[str, Values]:
    """Ask for the rest, one part of the spec after the other."""
    shapes = [name for name in NetworkSpec.model_fields if name != "dilated"]
    return {
        "network": line(NetworkSpec, [*shapes, "dilated"], "Network"),
        "penalty": {
            **line(PenaltySpec, KIND, "Penalty"),
            **line(PenaltySpec, [*COURSE, "strength"] if way == "target" else COURSE, "Course of the strength"),
        },
        "balancing": line(BalancingSpec, list(BalancingSpec.model_fields), "Balancing of the tasks"),
        "optimiser": line(OptimiserSpec, ["optimiser", "schedule", "momentum", "weight_decay"], "Optimiser"),
        "run": line(
            TrainSpec, ["seed", "threads", "device", "devices", "accumulate", "flips", "bf16", "snapshots"], "Run"
        ),
    }


def _submitted(values: dict[str, Any]) -> Run | None:
    """Draw the button; when it is clicked, start the run or say in one sentence what is wrong."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if not st.button("Start run", key="new_submit", type="primary", icon=":material/play_arrow:"):
            return None
        try:
            return start(parse(values))
        except (SpecError, launch.JobError, OSError) as error:
            st.error(sentence(str(error)), icon=":material/error:")
    return None
