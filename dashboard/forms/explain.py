"""The form for an explanation: widgets → ExplainSpec, field by field as the form for a run (dashboard.forms.run).

`engine.runs.derived.read` checks everything again, and nothing is written or started unless it agrees.
"""

import streamlit as st

from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.forms.widgets import NOTHING, Usual, field_row
from winnow.dashboard.frames.groups import norms
from winnow.dashboard.frames.run_images import only_sampled
from winnow.dashboard.shared.entries import any_entered, entered_options
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import METHODS, ExplainSpec

FORM = "explain"
ESSENTIAL = ["of", "images", "ablations", "ablation_images"]
ADVANCED = [
    "maps",
    "map_channels",
    "split",
    "fill",
    "bootstrap",
    "steps",
    "randomisations",
    "circuits",
    "circuit_steps",
    "seed",
    "threads",
    "device",
]
COST = (
    "With the defaults, on the network of the demo and one core, the shares take half a minute, and the ablations that "
    "check them a few minutes. Results appear as they come in, and you may leave the page. The integrating methods and "
    "feature ablation take far longer than the first two, and circuits take minutes."
)


def new_explanation(run: Run) -> DerivedJob | None:
    """Draw the form; return the explanation that it has just created and started, if it has."""
    methods = st.multiselect(
        "Methods",
        METHODS,
        default=entered_options(f"{FORM}_methods", METHODS, [METHODS[0]]),
        format_func=lambda name: name.replace("_", " "),
        key=f"{FORM}_methods",
        help=ExplainSpec.model_fields["methods"].description,
        on_change="ignore",
    )
    values = field_row(ExplainSpec, ESSENTIAL, form=FORM, usual=_usual(run))
    key = f"{FORM}_layers_{run.id}"  # another run, other layers
    opened = any_entered((key, *(f"{FORM}_{name}" for name in ADVANCED)))  # what acts is in sight
    with st.expander("Advanced", opened, icon=":material/tune:", key=f"{FORM}_advanced"):
        about = ExplainSpec.model_fields["layers"].description
        names = [layer.name for layer in norms(run).layers]
        layers = st.multiselect(
            "Layers",
            names,
            default=entered_options(key, names),
            key=key,
            placeholder="all layers that the tasks share",
            help=about,
            on_change="ignore",
        )
        values |= field_row(ExplainSpec, [name for name in ADVANCED if not _settled(run, name)], form=FORM)
    st.caption(COST)
    if st.button("Explain this run", key=f"{FORM}_submit", type="primary", icon=":material/lightbulb:"):
        return start_job(run, {"kind": "explain", **values, "methods": methods, "layers": layers})
    return None


def _settled(run: Run, name: str) -> bool:
    """Return whether a run leaves no choice in a field: a loop of the user's own leaves no images of another split."""
    return name == "split" and only_sampled(run)


def _usual(run: Run) -> Usual:
    """Explain outputs where a task has no loss that is known: recorded without `tasks`, or imported without data."""
    described = getattr(run.spec.data, "described", {})
    unknown = any(field.kind == "unspecified" for field in described.values())
    return Usual("without_loss", {"of": "output"}) if unknown else NOTHING
