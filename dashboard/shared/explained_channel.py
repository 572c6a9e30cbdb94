"""The selected channel of an explanation: who relies on it, and what becomes of every task when it is switched off."""

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import channel_use, switched_off
from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.frames import explanations, reliance
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.concepts import cell_title
from winnow.dashboard.frames.summaries import tasks as tasks_of
from winnow.dashboard.shared import explanation_figures
from winnow.dashboard.shared.channel import naming
from winnow.dashboard.shared.explanation import provenance
from winnow.dashboard.shared.formatting import isolated, measured, plain
from winnow.dashboard.shared.panel import draw, explain
from winnow.dashboard.shared.selection import Selected, say_absent, select
from winnow.dashboard.shared.showing import show
from winnow.engine.explain.usage import DEAD, IDLE, SHARED
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.quantities import Metric
from winnow.engine.runs.run import Run

NOTHING = "its relevance is 0 for every task, because its weights are zero or it is silent on these images"
SAID = {
    DEAD: f"dead: {NOTHING}",
    IDLE: "idle: it is alive, but no task relies on it more than on noise",
    SHARED: "shared by several tasks",
}
MOST_VALUES = 12  # classes and ranges; the CSV holds all
SEPARATES = (
    "AUROC of the channel's activation for each class or range of values against all others, the farthest from 0.5 "
    "first: by positions for dense tasks, by images for the others. 0.5: no separation. 1: most active where the class "
    "is; 0: least active there. The interval takes images as clusters; among many rows, some miss 0.5 by chance."
)
SWITCHED = (
    "What the layer reads of this channel is replaced by the channel's {fill}; nothing else changes. Measured on "
    "{images} images, against the whole network on the same images."
)


def explained_channel(run: Run, work: DerivedJob, method: str, found: Selected) -> None:
    """Draw all that an explanation knows about the selected channel."""
    st.subheader("Selected channel", anchor=False)
    chosen = found.cell
    _choice(work, chosen)
    if chosen is None:
        say_absent(found)
        st.info("Select a channel: click a point or a bar, or name it above.", icon=":material/touch_app:")
        return
    row = reliance.use(work, chosen)
    st.text(f"{cell_title(run, chosen)}{_label(row)}")
    naming(run, chosen)
    draw(
        explanation_figures.used_chart(work, method, chosen),
        "channel_use",
        channel_use.READING,
        provenance(run, work, method),
    )
    _off(run, work, chosen, row)
    _separates(work, chosen)


def _label(row: pd.Series | None) -> str:
    if row is None:
        return ""
    label = str(row["label"])
    by = f": {str(row['used_by']).replace('+', ', ')}" if label == SHARED else ""
    return f": {SAID.get(label, f'specific to {label}')}{by}"


def _separates(work: DerivedJob, chosen: Cell) -> None:
    """List the classes and ranges of values that the channel separates best."""
    st.markdown("**What it separates**")
    frame = explanations.separations(work, chosen)
    if frame.empty:
        st.caption("Measured for channels with maps, in newer explanations. The view Top images offers to make them.")
        return
    config = st.column_config
    st.dataframe(
        frame[["task", "value", "auroc", "interval", "images"]].head(MOST_VALUES),
        key="separation",
        hide_index=True,
        height="content",
        row_height=30,
        placeholder="–",
        column_config={
            "value": config.TextColumn("class or range"),
            "auroc": config.NumberColumn("AUROC", format="%.2f"),
            "interval": config.TextColumn("95 % interval"),
        },
    )
    explain(
        lambda: frame,
        "separation",
        SEPARATES,
        f"{plain(isolated(work.run.spec.name))} · {plain(work.run.id)} · {work.id}",
    )


def _choice(work: DerivedJob, chosen: Cell | None) -> None:
    """Name a channel by its layer and number: what a click on a figure does, for those who can't or won't click."""
    widths = {layer.name: layer.groups for layer in explanations.explained_layers(work)}
    show("channel_layer", chosen.layer if chosen else None, *widths)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.selectbox(
        "Layer", list(widths), key="channel_layer", placeholder="layer", on_change=_named, args=(widths,), index=None
    )
    if chosen is None:
        return
    show("channel_number", chosen.channel, widths[chosen.layer])
    right.number_input(
        "Channel",
        min_value=0,
        max_value=widths[chosen.layer] - 1,
        step=1,
        key="channel_number",
        on_change=_named,
        args=(widths,),
    )


def _named(widths: dict[str, int]) -> None:
    """Select what the two widgets name; another layer starts at its first channel."""
    layer, number = st.session_state["channel_layer"], st.session_state.get("channel_number") or 0
    if layer not in widths:
        select(None)
        return
    select(Cell(layer, int(number) if 0 <= int(number) < widths[layer] else 0))


def _off(run: Run, work: DerivedJob, chosen: Cell, row: pd.Series | None) -> None:
    st.markdown("**Switched off**")
    chart = explanation_figures.off_chart(work, chosen)
    if chart.frame.empty and row is not None and row["label"] == DEAD:
        st.caption(f"Not measured: {NOTHING}.")
        return
    if chart.frame.empty:
        _offer(run, work, chosen)
        return
    first = chart.frame.iloc[0]
    fill = "mean over images and positions" if first["fill"] == "mean" else "zero"
    _metrics(run, chart.frame)
    how = SWITCHED.format(fill=fill, images=int(first["images"]))
    draw(chart, "switched_off", switched_off.READING, f"{plain(isolated(run.spec.name))} · {plain(run.id)} · {how}")


def _metrics(run: Run, frame: pd.DataFrame) -> None:
    """Say of every task what its metric is with the channel off, and by how much that differs."""
    known = dict(tasks_of(run.spec))
    with st.container(horizontal=True):
        for row in frame.to_dict("records"):
            metric = known.get(str(row["task"]))
            if metric is not None and row["metric"] == metric.name and pd.notna(row["value"]):
                _metric(str(row["task"]), metric, float(row["value"]), float(row["value_change"]))


def _metric(task: str, metric: Metric, value: float, change: float) -> None:
    st.metric(
        f"{plain(task)} · {plain(metric.label)}",
        measured(value, metric.unit),
        _moved(change, metric.unit) if change else "no change",
        delta_color=("normal" if metric.better == "higher" else "inverse") if change else "off",
        help="With the channel switched off; below, the difference from the whole network",
        border=True,
    )


def _moved(change: float, unit: str) -> str:
    """Say by how much a metric moved; a difference of per cents is in points."""
    units = {"%": " points", "°": "°", "1": "", "": ""}
    return f"{change:+.2g}{units.get(unit, f' {unit}')}"


def _offer(run: Run, work: DerivedJob, chosen: Cell) -> None:
    """Offer to measure what was not: an explanation of this layer that switches off each of its living channels."""
    asked = explanations.asked_of_explanation(work)
    width = {layer.name: layer.groups for layer in explanations.explained_layers(work)}[chosen.layer]
    st.caption(
        f"Not measured: this channel is not in the sample of {asked.ablations} per layer. One job switches off every "
        f"living channel of its layer, one after the other, at most {width} × {asked.ablation_images} images: seconds "
        "to a minute for a small network."
    )
    if not st.button("Switch off the layer's channels", key="switch_off", icon=":material/power_settings_new:"):
        return
    wanted = {
        **asked.model_dump(mode="json"),
        "methods": [asked.methods[0]],
        "layers": [chosen.layer],
        "ablations": width,
        "randomisations": False,
        "channels": [],
        "maps": 0,
    }
    if start_job(run, wanted):
        st.rerun()
