"""The views of one run: curves, survival map, norms by layer, log. Only the one that is open is drawn."""

import pandas as pd
import streamlit as st

from dashboard.figures import layer_norms, losses_and_metrics, one_channel, sparsities, strength_and_alive
from dashboard.frames import events, fates, groups
from dashboard.frames.log import tail
from dashboard.selection import Selection, select, selected, selected_layer
from dashboard.survival_map import component
from dashboard.views import drawings
from dashboard.views.panel import draw, explain, source
from engine.runs import Run

ORDERS: dict[fates.Order, str] = {
    "network": "network order",
    "norm": "norm",
    "death": "epoch of death",
}
TABS = ("Curves", "Survival map", "Norms by layer", "Log")


def views(run: Run, window: int) -> None:
    """Draw the open view with the last `window` epochs, 0 for all."""
    since = _since(run, window)
    curves, survival, layers, log = st.tabs(TABS, key="view", on_change="rerun", bind="query-params")
    if curves.open:
        with curves:
            _curves(run, since)
    if survival.open:
        with survival:
            _survival(run)
    if layers.open:
        with layers:
            _layers(run, since)
    if log.open:
        with log:
            _log(run)


def _since(run: Run, window: int) -> float:
    """Return the epoch from which on to draw."""
    log = events.events(run)
    return max(float(log["at"].max()) - window, 0.0) if window and len(log) else 0.0


def _curves(run: Run, since: float) -> None:
    curves, regularity, counts = drawings.training(run, since)
    draw(curves, "losses_and_metrics", losses_and_metrics.READING, source(run, "val"))
    left, right = st.columns(2, gap="medium")
    with left:
        draw(regularity, "strength_and_alive", strength_and_alive.READING, source(run, "train"))
    with right:
        draw(counts, "sparsities", sparsities.READING, source(run))


def _survival(run: Run) -> None:
    norms = groups.norms(run)
    if not len(norms.values):
        st.info("The map is drawn once the network is built and its norms are recorded.", icon=":material/grid_on:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Channels by", width="content")
        by = st.segmented_control(
            "Order of the channels",
            list(ORDERS),
            format_func=ORDERS.__getitem__,
            default="network",
            required=True,
            key="order",
            bind="query-params",
            label_visibility="collapsed",
        )
    chosen = selected(norms.layers)
    component.survival_map(component.Board(run.id, norms, by, chosen), "survival_map", _picked)
    reading, moment = component.READING, f"{source(run)} · after epoch {norms.at[-1]}"
    explain(lambda: fates.channels(run), "survival_map", reading, moment)
    _record(run, chosen)


def _picked(chosen: Selection | None) -> None:
    select(chosen.layer, chosen.channel) if chosen else select(None)


def _record(run: Run, chosen: Selection | None) -> None:
    """Draw how the norm of the selected channel went."""
    if chosen is None:
        st.caption("Select a channel to see how its norm went.")
        return
    record = groups.channel_record(run, chosen.layer, chosen.channel)
    st.text(f"{chosen.layer}, channel {chosen.channel}: {_fate(record)}")
    drawing = drawings.Drawing(one_channel.one_channel(record), record)
    draw(drawing, "one_channel", one_channel.READING, source(run))


def _fate(record: pd.DataFrame) -> str:
    """Say whether a channel lives, and otherwise when it was last alive."""
    newest = float(record["norm"].iloc[-1])
    if newest > 0:
        return f"alive, norm {newest:.3g}"
    living = record.loc[record["norm"] > 0, "at"]
    return f"dead, last alive after epoch {living.iloc[-1]}" if len(living) else "dead from the start"


def _layers(run: Run, since: float) -> None:
    draw(drawings.layers(run, since), "median_norms", layer_norms.LAYERS_READING, source(run))
    layers = groups.norms(run).layers
    if not layers:
        return
    layer = _layer([layer.name for layer in layers], selected_layer(layers) or groups.most_dead(run))
    draw(drawings.channels(run, layer, since), "channel_norms", layer_norms.CHANNELS_READING, source(run))


def _layer(names: list[str], named: str) -> str:
    """Let the user choose a layer; a choice moves the linked selection to that layer."""
    st.session_state["norms_layer"] = named
    return st.selectbox(
        "Layer", names, key="norms_layer", width=420, on_change=lambda: select(st.session_state["norms_layer"])
    )


def _log(run: Run) -> None:
    text = tail(run.path / "log.txt")
    st.code(text or "The worker has not written anything yet.", language=None, height=420, wrap_lines=True)
    st.caption("The last 40 lines of log.txt in the run folder.")
