"""The form for a new run: widgets → TrainSpec.

Defaults, limits and explanations are read from the leaves of the spec, so that form, command line and README say the
same. The widgets guide the hand; what counts is `engine.spec.parse`, which checks everything again on the server:
nothing is written or started unless it agrees. The data set is the only widget that redraws the page, as it decides
which tasks there are.
"""

from typing import Any, Literal, get_args, get_origin

import streamlit as st
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from dashboard.words import plain, sentence
from data.catalog import DATASETS
from engine import jobs
from engine.runs import Run, create
from engine.spec import (
    DigitsData,
    Frozen,
    NetworkSpec,
    OptimiserSpec,
    PenaltySpec,
    ScenesData,
    SpecError,
    TrainSpec,
    parse,
)

DATA: dict[str, type[Frozen]] = {"scenes": ScenesData, "digits": DigitsData}
MEANING = (
    "How hard every group is pulled towards zero: 0 trains the dense network, a larger strength zeroes more groups, "
    "sooner. It can be changed while the run is live."
)
LABELS = {
    "size": "Image side [px]",
    "train_length": "Training images",
    "val_length": "Validation images",
    "strength": "Strength λ",
    "weights": "Group weights",
    "bf16": "bfloat16",
}
Values = dict[str, Any]


def new_run() -> Run | None:
    """Draw the form; return the run that it has just created and started, if it has."""
    data, tasks = _data()
    basic, learning, penalty = _essentials()
    with st.expander("Advanced", icon=":material/tune:", key="new_advanced"):
        advanced = _advanced()
    values = {
        **basic,
        **advanced["run"],
        "tasks": tasks,
        "data": data,
        "network": advanced["network"],
        "penalty": {**penalty, **advanced["penalty"]},
        "optimiser": {**learning, **advanced["optimiser"]},
    }
    return _submitted(values)


def start(spec: TrainSpec) -> Run:
    """Create a run and start its worker.

    Raises:
        OSError: the run folder can't be written, or no process can be started.

    """
    run = create(spec)
    jobs.start(run)
    return run


def leaf(model: type[Frozen], name: str) -> Any:
    """Draw the widget of one leaf of a spec, under the key `new_<name>`, and return its raw value."""
    info = model.model_fields[name]
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    default = info.get_default(call_default_factory=True)
    about: Values = {"key": f"new_{name}", "help": info.description, "on_change": "ignore"}
    if get_origin(info.annotation) is Literal:
        options = get_args(info.annotation)
        return st.selectbox(label, options, index=options.index(default), **about)
    if isinstance(default, bool):
        return st.toggle(label, value=default, **about)
    if isinstance(default, tuple):
        return _numbers(st.text_input(label, ", ".join(map(str, default)), **about))
    if isinstance(default, str):
        return st.text_input(label, default, max_chars=80, **about)
    return _number(label, default, info, about)


def _number(label: str, default: float, info: FieldInfo, about: Values) -> float:
    """Draw a number within the limits of its leaf; a fraction gets an exponent, as strengths span decades."""
    kind: type[int] | type[float] = int if isinstance(default, int) else float
    lows: list[Any] = [bound.ge for bound in info.metadata if isinstance(bound, Ge)]
    highs: list[Any] = [bound.le for bound in info.metadata if isinstance(bound, Le)]
    limits: Values = {"min_value": kind(lows[0]) if lows else None, "max_value": kind(highs[0]) if highs else None}
    scale: Values = {"step": 1} if kind is int else {"step": default / 10, "format": _format(default)}
    value: float = st.number_input(label, value=default, **limits, **scale, **about)
    return value


def _format(default: float) -> str:
    """Return how a fraction is written: with an exponent where it is small, as it then spans decades."""
    return "%.2e" if default < 0.01 else "%.3f"


def _numbers(text: str) -> list[str]:
    """Split "24, 48" into its entries; the spec turns them into numbers or says which is none."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


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
        **_line(DATA[name], [leaf for leaf in DATA[name].model_fields if leaf != "dataset"]),
    }, tasks


def _essentials() -> tuple[Values, Values, Values]:
    """Ask for what every run needs: the run's own leaves, the optimiser's, the penalty's."""
    columns = st.columns(5)
    with columns[0]:
        basic = {"name": leaf(TrainSpec, "name")}
    with columns[1]:
        penalty = {"strength": leaf(PenaltySpec, "strength")}
    with columns[2]:
        basic["epochs"] = leaf(TrainSpec, "epochs")
    with columns[3]:
        basic["batch_size"] = leaf(TrainSpec, "batch_size")
    with columns[4]:
        learning = {"learning_rate": leaf(OptimiserSpec, "learning_rate")}
    st.caption(f"Strength: {MEANING}")
    return basic, learning, penalty


def _advanced() -> dict[str, Values]:
    """Ask for the rest, one part of the spec after the other."""
    shapes = [name for name in NetworkSpec.model_fields if name != "dilated"]
    return {
        "network": _line(NetworkSpec, [*shapes, "dilated"], "Network"),
        "optimiser": _line(OptimiserSpec, ["optimiser", "schedule", "momentum", "weight_decay"], "Optimiser"),
        "penalty": _line(PenaltySpec, ["weights"], "Penalty"),
        "run": _line(TrainSpec, ["seed", "threads", "device", "flips", "bf16"], "Run"),
    }


def _line(model: type[Frozen], names: list[str], title: str = "") -> Values:
    """Draw some leaves of a model side by side, four to a line."""
    if title:
        st.markdown(f"**{title}**")
    values: Values = {}
    for first in range(0, len(names), 4):
        for column, name in zip(st.columns(4, vertical_alignment="bottom"), names[first : first + 4], strict=False):
            with column:
                values[name] = leaf(model, name)
    return values


def _submitted(values: Values) -> Run | None:
    """Draw the button; when it is clicked, start the run or say in one sentence what is wrong."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if not st.button("Start run", key="new_submit", type="primary", icon=":material/play_arrow:"):
            return None
        try:
            return start(parse(values))
        except (SpecError, jobs.JobError, OSError) as error:
            st.error(sentence(str(error)), icon=":material/error:")
    return None
