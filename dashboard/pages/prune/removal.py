"""The second view of a pruning: layer by layer, who pays, what if more were removed, why some channels were kept."""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import removed_layers, what_if
from winnow.dashboard.frames import maps, prunings, who_pays
from winnow.dashboard.frames import what_if as sweeps
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.pages.prune import pruning_figures
from winnow.dashboard.pages.prune.before_after import pruned_source
from winnow.dashboard.shared.formatting import digits, plain
from winnow.dashboard.shared.panel import draw, explain
from winnow.dashboard.shared.who_pays import PairView, paying_view
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.quantities import metric_title
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

KINDS = {  # of a row of reasons: its title, and what it means
    "kept": ("Kept although no layer uses it", "The code of the model needs these channels, for the reason given."),
    "pinned": (
        "Idle, but needed by an operation",
        "No weight makes or reads these channels. The operation needs them.",
    ),
    "gathered": (
        "Gather their channels",
        "These layers use only some channels of a stream that other layers use as a whole. They pick theirs from it.",
    ),
    "folded": ("Took over constants", "The removed channels were constant. These layers now add their contribution."),
    "constant": ("Read constants", "These layers still read channels that are constant."),
    "hollow": ("Dead as a whole", "No channel of these layers is used. One is kept, so that the code still runs."),
    "silent": ("Gave only zeros", "These modules gave zeros for every input. Modules that return zeros replace them."),
}
ALIASES = {"kept_for": "kept", "constants": "constant"}
REASONS = "One row per layer, with the reason that the engine gives."
STEPS = (
    "One row per step of the sweep: the highest score that would be removed (– for zeros only), what that saves of the "
    "network, and the metric of each task without a refit."
)
NO_SWEEP = (
    "What if more were removed? A pruning by low norms or low relevance ranks the channels and judges the network with "
    "ten different shares of them removed. That takes ten passes over the validation images. Start one to see the "
    "sweep."
)
OLDER = "This pruning was made by an older version, which did not judge every image. Prune again to see who pays."
LATER = "Every image is judged once the pruned network is final."


def removed_layers_view(run: Run, shown: DerivedJob) -> None:
    """Draw what each layer lost."""
    draw(pruning_figures.removed_chart(shown), "removed_layers", removed_layers.READING, pruned_source(run, shown))


def sweep_view(run: Run, shown: DerivedJob) -> None:
    """Draw the metrics as more and more goes, and the steps as a table."""
    if prunings.sweep_frame(shown).empty:
        st.info(NO_SWEEP, icon=":material/content_cut:")
        return
    of = st.segmented_control(
        "Share of the", list(what_if.OF), format_func=what_if.OF.__getitem__, default="macs", required=True, key="of"
    )
    said = pruned_source(run, shown, "val")
    draw(pruning_figures.sweep_chart(run, shown, of), "what_if", what_if.READING, said)
    frame = sweeps.steps(shown, tasks(run.spec))
    numbers = {name: st.column_config.NumberColumn(format="%.1f %%") for name in ("groups", "parameters", "MACs")}
    numbers["groups"] = st.column_config.NumberColumn("channels", format="%.1f %%")
    for task, metric in tasks(run.spec):
        numbers[metric_title(task, metric)] = st.column_config.NumberColumn(format=digits(metric.unit))
    st.dataframe(
        frame.assign(threshold=[f"{value:.3g}" if value > float("-inf") else "–" for value in frame["threshold"]]),
        key="steps",
        hide_index=True,
        placeholder="–",
        height="content",
        row_height=30,
        column_config=numbers,
    )
    explain(lambda: frame, "steps", STEPS, said)


def paying(run: Run, shown: DerivedJob) -> None:
    """Draw which images and classes lost by a pruning."""
    judged = who_pays.of_pruning(shown)
    if judged.images.empty:
        st.info(LATER if shown.status.state in LIVE else OLDER, icon=":material/group:")
        return
    store = maps.store(shown)
    stores = {"": store} if store is not None else {}
    paying_view(PairView(judged, ("dense", "pruned"), stores, pruned_source(run, shown, "val")))


def reasons_view(run: Run, shown: DerivedJob) -> None:
    """List what gathers, what was folded, and what was kept and why."""
    frame = prunings.reasons(shown)
    if frame.empty:
        st.info("Every unused channel was removed. No layer gathers channels or takes over constants.")
        return
    kinds = frame["kind"].replace(ALIASES)
    for kind in dict.fromkeys(kinds):
        title, meaning = KINDS.get(kind, (plain(str(kind)), ""))
        st.markdown(f"**{title}**")
        st.caption(meaning)
        _listed(frame[kinds == kind], str(kind))
    explain(lambda: frame, "reasons", REASONS, pruned_source(run, shown))


def _listed(own: pd.DataFrame, kind: str) -> None:
    words = [f"{reason} channels" if str(reason).isdigit() else str(reason) for reason in own["reason"]]
    st.dataframe(
        pd.DataFrame({"layer": own["layer"].to_numpy(), "reason": words}),
        key=f"reasons_{kind}",
        hide_index=True,
        placeholder="–",
        height="content" if len(own) <= 10 else 330,
        row_height=30,
        column_config={"layer": st.column_config.TextColumn(width=330)},
    )
