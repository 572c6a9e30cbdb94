"""The form for a new run: widgets → TrainSpec.

Defaults, limits and explanations are read from the fields of the spec, so that the form and the command line say the
same. What there is to choose from is read from the registries (`engine.specs.registry`). The form only collects values:
`engine.specs.train.parse` checks everything again on the server, and nothing is written or started unless it agrees.

Four widgets redraw the page, as they decide which others there are: the data set, the kind of network, the penalty, and
whether a target, a strength or one that is learned is asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from winnow.dashboard.forms.starting import start_run
from winnow.dashboard.forms.widgets import (
    NOTHING,
    Usual,
    Values,
    field_label,
    field_row,
    field_widget,
    one_of,
    option_label,
)
from winnow.dashboard.shared.entries import any_entered, entered, entered_options, entered_place
from winnow.dashboard.shared.formatting import plain, sentence
from winnow.data.catalog import DATASETS
from winnow.data.joined import JoinedData, confirm_caches
from winnow.data.registered import joined_values, registered
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run
from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.specs.network import NETWORKS, parse_network
from winnow.engine.specs.penalty import PENALTIES, PenaltySpec
from winnow.engine.specs.train import OptimiserSpec, TrainSpec, parse

Way = Literal["target", "strength", "learned"]
WAYS: dict[Way, str] = {"target": "target", "strength": "strength λ", "learned": "learned λ"}
USUAL_TARGET = 50.0  # %
MEANINGS: dict[Way, str] = {
    "target": "This share of the penalised layers will be exactly zero. λ is adjusted until it is reached; then the "
    "zeros are kept, and the rest is refitted without a penalty.",
    "strength": "How strongly every group is pulled towards zero. 0 trains the dense network; a larger λ makes more "
    "groups zero, and sooner. You can change it while the run is live.",
    "learned": "λ is learned while the run trains: as large as possible without costing more than chance on held-out "
    "images. A part of the training images is held out for this. Then the zeros are kept, and the rest is "
    "refitted without a penalty.",
}
JOINED = "several, joined"
ABOUT_JOINED = (
    "Names joined by +. In brackets: the fields that a data set is used for; without: all. A name is one from the "
    "list, or one that you registered on the Data page or with `winnow data add`."
)
NOT_JOINED = "Nothing was started: the line below `Data sets to join` says what is wrong with these names."
KIND = ["groups", "scope", "weights", "normalisation", "strength_of"]
COURSE = ["warm_up", "ramp", "refit", "floor", "removal"]
LEARNING = ["warm_up", "refit", "floor", "removal", "held_out", "learn_every", "horizon", "learn_tolerance"]
OPTIMISER = ["optimiser", "schedule", "momentum", "weight_decay"]
TRAINING = ["seed", "threads", "device", "devices", "accumulate", "flips", "zoom", "bf16"]
RESULT = ["patience", "keep", "test", "snapshots"]


def new_run() -> Run | None:
    """Draw the form; return the run that it has just created and started, if it has."""
    data, tasks = _data()
    usual = DATASETS[data["dataset"]].usual if data["dataset"] in DATASETS else {}
    basic, learning = _essentials(usual, data["dataset"])
    way, sparsity = _sparsity()
    with st.expander("Advanced", any_entered(_advanced_keys()), icon=":material/tune:", key="new_advanced"):
        advanced = _advanced(way, Usual(data["dataset"], usual.get("network", {})))
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


def _data() -> tuple[Values, list[str]]:
    """Ask for the data set, its options and its tasks."""
    left, right = st.columns(2)
    own = known_names()
    names = [*DATASETS, *own, JOINED]
    name = left.selectbox("Data set", names, index=entered_place("new_dataset", names), key="new_dataset")
    if name == JOINED:
        values = _joined(left)
        return values, _tasks(right, name, values)
    entry = own.get(name, {"dataset": name})
    spec = DATASETS[entry["dataset"]]
    left.caption(plain(spec.summary if name in DATASETS else f"{entry['dataset']}, in {entry['root']}"))
    options = _besides("dataset", spec.asked())
    usual = Usual(name, {option: entry.get(option) for option in options})
    values = {"dataset": entry["dataset"], **field_row(spec, options, usual=usual)}
    return values, _tasks(right, name, values)


def _joined(place: DeltaGenerator) -> Values:
    """Ask which data sets are joined, and how; what is wrong is said when the run is started."""
    text = place.text_input(
        "Data sets to join",
        entered("new_sources", ""),
        key="new_sources",
        placeholder="one[depth]+other[seg]",
        help=ABOUT_JOINED,
    )
    turns = place.checkbox(
        "Batches of one data set at a time, in turns",
        entered("new_alternating", False),
        key="new_alternating",
        help="Not set: each batch mixes them.",
    )
    key = "new_joined_cache"
    cache = place.text_input("Cache", entered(key, ""), key=key, help="Folder for arrays that are ready to train on.")
    asked = {"dataset": text.strip(), "alternating": turns and "+" in text, "cache": cache.strip() or None}
    try:
        values, _ = joined_values(asked)
    except ValueError as error:
        place.caption(plain(sentence(str(error))))
        return {"dataset": "joined", "sources": []}
    if not values:
        place.caption("Write two or more names, joined by +.")
    return values or {"dataset": "joined", "sources": []}


def _tasks(place: DeltaGenerator, name: str, values: Values) -> list[str]:
    """Ask which fields of the data are learned."""
    try:
        model = DATASETS.get(values["dataset"], JoinedData)
        fields = list(model.model_validate(values).fields)
    except ValueError:  # an option is wrong, which is said when the run is started
        fields = []
    about = "One head is trained per task. All tasks share the trunk. Left empty: the first three."
    key = f"new_tasks_{name}" if name != JOINED else f"new_tasks_{'_'.join([name, *fields])}"
    first = entered_options(key, fields, fields[:3])
    chosen: list[str] = place.multiselect("Tasks", fields, default=first, key=key, help=about, on_change="ignore")
    return chosen


def known_names() -> dict[str, dict[str, str]]:
    """Return the registered data sets; a list that cannot be read is said, and offers none."""
    try:
        return registered()
    except ValueError as error:
        st.warning(sentence(str(error)), icon=":material/warning:")
        return {}


def _essentials(usual: Mapping[str, Any], dataset: str) -> tuple[Values, Values]:
    """Ask for what every run needs besides its sparsity; return the run's own fields, and the optimiser's."""
    columns = st.columns(4)
    basic: Values = {}
    for column, name in zip(columns, ("name", "epochs", "batch_size"), strict=False):
        with column:
            basic[name] = Usual(dataset, usual).widget(TrainSpec, name)
    with columns[3]:
        rate = Usual(dataset, usual.get("optimiser", {})).widget(OptimiserSpec, "learning_rate")
        learning = {"learning_rate": rate}
    return basic, learning


def _sparsity() -> tuple[Way, Values]:
    """Ask for a target or for a strength; return which, and the fields of the penalty that say it."""
    way: Way = one_of("Sparsity", WAYS, "new_way", "target")
    columns = st.columns(4, vertical_alignment="bottom")
    values: Values = {}
    with columns[0]:
        if way == "target":
            values["target"] = field_widget(PenaltySpec, "target", USUAL_TARGET)
        elif way == "learned":
            values["learned"] = field_widget(PenaltySpec, "learned", "global")
        else:
            values["strength"] = field_widget(PenaltySpec, "strength")
    if way == "target":
        with columns[1]:
            values["target_of"] = field_widget(PenaltySpec, "target_of")
    if values.get("target_of") == "latency":
        with columns[2]:
            values["latency_batch"] = field_widget(PenaltySpec, "latency_batch")
    st.caption(MEANINGS[way])
    return way, values


def _advanced(way: Way, network: Usual) -> dict[str, Values]:
    """Ask for the rest, one part of the spec after the other."""
    chosen = _network(network)
    courses: dict[Way, list[str]] = {"target": [*COURSE, "strength"], "strength": COURSE, "learned": LEARNING}
    return {
        "network": chosen,
        "penalty": {**_penalty(way), **field_row(PenaltySpec, courses[way], "Course of the strength")},
        "balancing": field_row(BalancingSpec, _balancing(chosen), "Balancing of the tasks"),
        "optimiser": field_row(OptimiserSpec, OPTIMISER, "Optimiser"),
        "run": {**field_row(TrainSpec, TRAINING, "Training"), **field_row(TrainSpec, RESULT, "Network that is kept")},
    }


def _advanced_keys() -> Iterator[str]:
    """Yield the keys of what is asked under Advanced: where one is not as usual, it is in sight."""
    named = [*KIND, *COURSE, *LEARNING, *TRAINING, *RESULT, *OPTIMISER, *BalancingSpec.model_fields]
    named += [name for kind in PENALTIES.values() for name in kind.parameters]
    named += [name for kind in NETWORKS.values() for name in kind.model_fields]
    for name in ("penalty", "network", *named):
        yield f"new_{name}"
        yield from (f"new_{dataset}_{name}" for dataset in DATASETS)


def _network(usual: Usual) -> Values:
    """Ask for the kind of network, where there are several, and for its options."""
    st.markdown("**Network**")
    kinds, name = list(NETWORKS), next(iter(NETWORKS))
    if kinds[1:]:
        index = entered_place("new_network", kinds)
        name = st.selectbox("Kind of network", kinds, index=index, key="new_network", format_func=option_label)
    fields = _besides("network", NETWORKS[name].model_fields)
    own = usual if name == kinds[0] else NOTHING  # what is usual for a data set is said of the first kind
    return {"network": name, **field_row(NETWORKS[name], fields, usual=own)}


def _balancing(network: Values) -> list[str]:
    """Return what to ask about the balancing: not where gradients are compared if the network leaves no choice."""
    try:
        free = parse_network(network).seam
    except ValueError:  # the form says so when it is sent
        free = True
    return list(BalancingSpec.model_fields) if free else _besides("gradients", BalancingSpec.model_fields)


def _penalty(way: Way) -> Values:
    """Ask for the penalty, its own parameters and its groups."""
    st.markdown("**Penalty**")
    name = st.selectbox(
        field_label(PenaltySpec, "penalty"),
        list(PENALTIES),
        index=entered_place("new_penalty", PENALTIES),
        format_func=option_label,
        key="new_penalty",
        help=PenaltySpec.model_fields["penalty"].description,
    )
    kind = _besides("strength_of", KIND) if way == "learned" else KIND
    return {"penalty": name, **field_row(PenaltySpec, [*PENALTIES[name].parameters, *kind])}


def _besides(name: str, names: Iterable[str]) -> list[str]:
    return [other for other in names if other != name]


def _submitted(values: dict[str, Any]) -> Run | None:
    """Draw the button; when it is clicked, start the run or say in one sentence what is wrong."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if not st.button("Start run", key="new_submit", type="primary", icon=":material/play_arrow:"):
            return None
        if values["data"].get("sources") == []:
            st.error(NOT_JOINED, icon=":material/error:")
            return None
        try:
            spec = parse(values)
            confirm_caches(spec.data)
            return start_run(spec)
        except (ValueError, launch.JobError, OSError) as error:
            st.error(sentence(str(error)), icon=":material/error:")
    return None
