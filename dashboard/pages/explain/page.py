"""Which features does a task rely on, and is it true? The page Explain.

One task and one method at a time; the method that agrees best with ablation on this very run is taken at first. The
views stand on the left, the selected channel on the right of all of them. Only the open view is drawn: four Plotly
charts at most, the channel's two included.
"""

import streamlit as st

from winnow.dashboard.figures import deletion_curves, relevance_against_ablation, shuffled_weights, top_channels
from winnow.dashboard.frames import explanations, trust
from winnow.dashboard.pages.explain.in_images import in_images
from winnow.dashboard.pages.explain.method_table import method_table
from winnow.dashboard.pages.explain.top_images import top_images
from winnow.dashboard.shared import explanation_figures
from winnow.dashboard.shared.explained_channel import explained_channel
from winnow.dashboard.shared.explanation import METHODS, badge, provenance
from winnow.dashboard.shared.explanation_figures import View
from winnow.dashboard.shared.explanation_page import click, explained, layer_of
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import draw
from winnow.dashboard.shared.selection import TASK, keep, selected
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

MEANINGS = (
    "Taylor: mean over images of |Σ (a − μ)·∂L/∂a|, the first-order effect of replacing the channel by its mean; "
    "position by position: of Σ |(a − μ)·∂L/∂a|. The others are Captum's. Recommended is the one that agrees best with "
    "what switching channels off does, on this run."
)
TABS = ("Channels", "Against ablation", "Shuffled weights", "Images", "Top images")


def page() -> None:
    """Draw what each task of the chosen run relies on."""
    explained(_explain)


def _explain(run: Run, work: DerivedJob) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task, method = _task(work), _method(work)
    badge(work, method, (task,))
    view = View(method, task, chosen=selected(explanations.layers(work)))
    left, right = st.columns([2, 1], gap="large")
    with left:
        _views(run, work, view)
    with right:
        explained_channel(run, work, method, view.chosen)


def _task(work: DerivedJob) -> str:
    tasks = explanations.tasks(work)
    task = st.segmented_control(
        "Task", tasks, format_func=plain, default=tasks[0], required=True, key=TASK, bind="query-params"
    )
    keep()
    return task if task in tasks else tasks[0]


def _method(work: DerivedJob) -> str:
    """Ask for the method; the recommended one is taken at first, and named."""
    methods, best = explanations.methods(work), trust.recommended(work)
    method = st.segmented_control(
        "Method",
        methods,
        format_func=lambda name: METHODS.get(name, name),
        default=best or methods[0],
        required=True,
        key="method",
        bind="query-params",
        help=MEANINGS,
    )
    if best is not None and len(methods) > 1:
        st.caption(f"Recommended on this run: {METHODS.get(best, best)}", width="content")
    return method if method in methods else methods[0]


def _views(run: Run, work: DerivedJob, view: View) -> None:
    channels, against, shuffled, images, top = st.tabs(TABS, key="trust", on_change="rerun", bind="query-params")
    about = provenance(run, work, view.method, (view.task,))
    if channels.open:
        with channels:
            _channels(work, view, about)
    if against.open:
        with against:
            draw(
                explanation_figures.against(work, view),
                "relevance_against_ablation",
                relevance_against_ablation.READING,
                about,
                click(work),
            )
            _deletion(work, view, about)
    if shuffled.open:
        with shuffled:
            drawing = explanation_figures.randomised(work, view.method)
            draw(drawing, "shuffled_weights", shuffled_weights.READING, about)
    if images.open:
        with images:
            in_images(work, view.task, view.chosen, about)
    if top.open:
        with top:
            top_images(work, view.chosen, about)


def _channels(work: DerivedJob, view: View, about: str) -> None:
    layer = layer_of(work, "top_layer")
    narrowed = View(view.method, view.task, layer, view.chosen)
    draw(explanation_figures.top(work, narrowed), "top_channels", top_channels.READING, about, click(work))
    st.markdown("**Which method to believe**")
    method_table(work, about)


def _deletion(work: DerivedJob, view: View, about: str) -> None:
    first = explanations.methods(work)[0]
    if view.method != first:
        st.caption(
            f"Channels were removed together in the order of {METHODS.get(first, first)}, the first method, only."
        )
    draw(explanation_figures.deletion(work, view.task), "deletion_curves", deletion_curves.READING, about)
