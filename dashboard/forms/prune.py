"""The form for a new pruning: widgets → PruneSpec, field by field as the form for a run (dashboard.forms.run).

One widget redraws the page: the criterion, as it decides whether there is a budget. `engine.runs.derived.read` checks
everything again, and nothing is written or started unless it agrees.
"""

import streamlit as st

from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.forms.widgets import Values, field_row, field_widget, one_of
from winnow.dashboard.frames.layer_sensitivity import sensitivities, sensitivity_called, sensitivity_spec
from winnow.dashboard.frames.run_images import ONLY_SAMPLE, only_sampled
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.shared.entries import entered_options, entered_place
from winnow.dashboard.shared.formatting import CRITERIA
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import Criterion, PruneSpec

FORM = "prune"
USUAL_BUDGET = 50.0  # %
BUDGET: dict[Criterion, list[str]] = {
    "zeros": [],
    "norm": ["budget_of", "compared", "floor"],
    "relevance": ["budget_of", "relevance_images", "floor"],
}
REPAIR = ["repair", "repair_images"]
REFIT = ["refit_epochs", "distillation", "learning_rate", "seed"]
SHAPE = ["gather", "blocks"]
TRAINED = "pruning by relevance, a repair, a refit. Do a refit {}"  # what needs training images
WHERE = {False: "in your own loop", True: "where the network was trained"}  # by whether it was imported
MEASURING = ["batches", "onnx", "rounds", "threads", "device"]
MEANINGS: dict[Criterion, str] = {
    "zeros": "Removes channels that nothing uses. Every output stays the same; a certificate says how exactly.",
    "norm": "Also zeroes the channels of lowest norm until the budget is met. This changes the metrics, which are "
    "measured. A refit recovers part of the loss.",
    "relevance": "Also zeroes the channels that the tasks rely on least until the budget is met. This changes the "
    "metrics, which are measured. A refit recovers part of the loss.",
}


def new_pruning(run: Run) -> DerivedJob | None:
    """Draw the form; return the pruning that it has just created and started, if it has."""
    criterion, values = _what(run)
    sampled = only_sampled(run)
    if criterion != "zeros" and not sampled:
        values |= field_row(PruneSpec, REPAIR, "Repair without training", FORM)
    values |= field_row(PruneSpec, SHAPE if sampled else [*REFIT, *SHAPE], "Afterwards", FORM)
    values |= field_row(PruneSpec, MEASURING, "Measuring", FORM)
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button("Start pruning", key="prune_submit", type="primary", icon=":material/content_cut:")
        return start_job(run, {"kind": "prune", "criterion": criterion, **values}, criterion) if clicked else None


def _what(run: Run) -> tuple[Criterion, Values]:
    """Ask what to remove, down to which budget, and which heads stay."""
    columns = st.columns([2, 1, 2], vertical_alignment="bottom")
    with columns[0]:
        key = f"{FORM}_criterion{'_sampled' if only_sampled(run) else ''}"  # other options, another widget
        criterion: Criterion = one_of("Remove", possible_criteria(run), key, "zeros")
    values: Values = {}
    if criterion != "zeros":
        with columns[1]:
            values["budget"] = field_widget(PruneSpec, "budget", USUAL_BUDGET, FORM)
    about, key = PruneSpec.model_fields["tasks"].description, f"{FORM}_tasks_{run.id}"  # another run, other heads
    values["tasks"] = columns[2].multiselect(
        "Heads to keep",
        run.spec.tasks,
        default=entered_options(key, run.spec.tasks),
        key=key,
        placeholder="all",
        help=about,
        on_change="ignore",
    )
    st.caption(MEANINGS[criterion])
    if only_sampled(run):
        st.caption(ONLY_SAMPLE.format(TRAINED.format(WHERE[summary(run).imported])))
    if BUDGET[criterion]:
        values |= field_row(PruneSpec, BUDGET[criterion], form=FORM)
        values |= _layers(run, criterion)
    return criterion, values


def possible_criteria(run: Run) -> dict[Criterion, str]:
    """Return by what the channels of a run can be ranked: relevance is measured on training images."""
    return {name: text for name, text in CRITERIA.items() if name != "relevance" or not only_sampled(run)}


def _layers(run: Run, criterion: Criterion) -> Values:
    """Ask in which order the layers lose channels, where an analysis of them by the same score is done."""
    known = {
        name: sensitivity_called(work)
        for name, work in sensitivities(run).items()
        if work.recorded_status().state == "done"
        and (spec := sensitivity_spec(work)) is not None
        and spec.criterion == criterion
    }
    if not known:
        return {}
    key = f"{FORM}_sensitivity_{criterion}"
    chosen = st.selectbox(
        "Order of the layers",
        ["", *known],
        index=entered_place(key, ["", *known]),
        format_func=lambda name: known.get(name, "by score alone"),
        key=key,
        help="By score alone, or by what a cut of each layer costs: the layers whose cut costs the tasks least lose "
        "channels first. Then `Norms compared by` must be layer.",
        on_change="ignore",
    )
    return {"sensitivity": chosen}
