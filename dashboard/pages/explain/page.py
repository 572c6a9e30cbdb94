"""Which features does a task rely on, and is it true? The page Explain.

One task and one method at a time; the method that agrees best with ablation on this run is taken at first. The views
are on the left, the selected channel on the right of all of them. Only the open view is drawn: four Plotly
charts at most, the channel's two included.
"""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import deletion_curves, relevance_against_ablation, shuffled_weights, top_channels
from winnow.dashboard.frames import explanations, reliance, trust
from winnow.dashboard.frames.answers import of_use
from winnow.dashboard.frames.network import image_layers
from winnow.dashboard.pages.explain.in_images import in_images
from winnow.dashboard.pages.explain.top_images import silence_view, top_images
from winnow.dashboard.shared import address, explanation_figures
from winnow.dashboard.shared.address import TASK
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.explained_channel import explained_channel
from winnow.dashboard.shared.explanation import METHODS, faithfulness_badge, provenance, verdict_of
from winnow.dashboard.shared.explanation_figures import MethodView
from winnow.dashboard.shared.explanation_page import cell_of, click, explained, layer_of
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import draw, explain
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

MEANINGS = (
    "Taylor: mean over images of |Σ (a − μ)·∂L/∂a|, the first-order effect of replacing the channel by its mean. "
    "Position by position: mean of Σ |(a − μ)·∂L/∂a|. The others are Captum's. The recommended method is the one that "
    "agrees best, on this run, with what switching channels off does."
)
METHODS_READING = (
    "Medians over layers and tasks. With ablation: do the channels with high relevance really matter? Shares: do they "
    "matter to that task? Between halves: do other images give the same answer? Heads shuffled: the shares must "
    "change, to a correlation below 0.2. ★: the method whose weaker correlation with ablation is the largest."
)
METHODS_TITLES = {
    "rank_correlation": "with ablation",
    "share_correlation": "shares, with ablation",
    "split_half": "between halves",
    "head_randomisation": "heads shuffled",
}
TABS = ("Channels", "Against ablation", "Shuffled weights", "Images", "Top images", "Silence")


def page() -> None:
    """Draw what each task of the chosen run relies on."""
    explained(_explain)


def _explain(work: DerivedJob, run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task, method = _task(work), _method(work)
    answer(of_use.explain_answer(task, reliance.ranked(work, method, task), trust.verdict(work, method, (task,))[0]))
    faithfulness_badge(work)
    verdict_of(work, method, task)
    found = cell_of(work)
    view = MethodView(method, task, chosen=found.cell)
    left, right = st.columns([2, 1], gap="large")
    with left:
        _views(run, work, view)
    with right:
        explained_channel(run, work, method, found)


def _task(work: DerivedJob) -> str:
    titles = {task: plain(task) for task in explanations.explained_tasks(work)}
    return address.segments(TASK, "Task", titles, next(iter(titles)))


def _method(work: DerivedJob) -> str:
    """Ask for the method; the recommended one is taken at first, and named."""
    titles = {name: METHODS.get(name, name) for name in explanations.methods(work)}
    best = trust.recommended(work)
    method = address.segments("method", "Method", titles, best or next(iter(titles)), about=MEANINGS)
    if best is not None and len(titles) > 1:
        st.caption(f"Recommended on this run: {titles[best]}", width="content")
    return method


def _views(run: Run, work: DerivedJob, view: MethodView) -> None:
    channels, against, shuffled, images, top, silent = address.tabs("trust", TABS)
    about = provenance(run, work, view.method, (view.task,))
    if channels.open:
        with channels:
            _channels(work, view, about)
    if against.open:
        with against:
            draw(
                explanation_figures.against_chart(work, view),
                "relevance_against_ablation",
                relevance_against_ablation.READING,
                about,
                click(work),
            )
            _deletion(work, view, about)
    if shuffled.open:
        with shuffled:
            chart = explanation_figures.randomised_chart(work, view.method)
            draw(chart, "shuffled_weights", shuffled_weights.READING, about)
    if images.open:
        with images:
            in_images(work, view.task, view.chosen, about)
    if top.open:
        with top:
            top_images(work, view.chosen, about)
    if silent.open:
        with silent:
            silence_view(work, view.chosen, about)


def _channels(work: DerivedJob, view: MethodView, about: str) -> None:
    layer = layer_of(work, "top_layer")
    if not layer and (images := image_layers(work.run)):
        owner = "its" if len(images) == 1 else "their"
        st.caption(f"Left out: {plain(', '.join(sorted(images)))}, because {owner} inputs are the images.")
    narrowed = MethodView(view.method, view.task, layer, view.chosen)
    draw(explanation_figures.top_chart(work, narrowed), "top_channels", top_channels.READING, about, click(work))
    st.markdown("**Which method to trust**")
    _method_table(work, about)


def _deletion(work: DerivedJob, view: MethodView, about: str) -> None:
    first = explanations.methods(work)[0]
    if view.method != first:
        st.caption(f"These curves are measured for the first method only: {METHODS.get(first, first)}.")
    draw(explanation_figures.deletion_chart(work, view.task), "deletion_curves", deletion_curves.READING, about)


def _method_table(work: DerivedJob, about: str) -> None:
    """Draw the methods side by side, as measured on this run; the one to believe is marked."""
    frame = trust.method_trust(work)
    shown = pd.DataFrame(
        {
            "": ["★" if best else "" for best in frame["recommended"]],
            "method": [METHODS.get(name, name) for name in frame["method"]],
            **{name: frame[name] for name in METHODS_TITLES},
            "verdict": [trust.VERDICTS[colour] for colour in frame["colour"]],
        }
    )
    config = st.column_config
    numbers = {name: config.NumberColumn(title, format="%.2f", width=110) for name, title in METHODS_TITLES.items()}
    st.dataframe(
        shown,
        key="methods",
        hide_index=True,
        row_height=30,
        height="content",
        placeholder="–",
        column_config={"": config.TextColumn(width=30), **numbers},
    )
    explain(lambda: frame, "methods", METHODS_READING, about)
