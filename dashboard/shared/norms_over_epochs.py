"""The norms over the epochs: the median of every layer, and every channel of one."""

import streamlit as st

from winnow.dashboard.figures import layer_norms
from winnow.dashboard.frames import groups
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.panel import draw, source
from winnow.dashboard.shared.selection import select_layer, selected_layer
from winnow.dashboard.shared.showing import show
from winnow.engine.runs.run import Run


def over_epochs(run: Run, since: float) -> None:
    """Draw the median norm of every layer over the epochs, and every channel of one layer."""
    draw(run_figures.layers_chart(run, since), "median_norms", layer_norms.LAYERS_READING, source(run))
    layers = groups.norms(run).layers
    if not layers:
        return
    layer = _layer([layer.name for layer in layers], selected_layer(layers) or groups.most_dead(run))
    draw(run_figures.channels_chart(run, layer, since), "channel_norms", layer_norms.CHANNELS_READING, source(run))


def _layer(names: list[str], named: str) -> str:
    """Let the user choose a layer; a choice selects that layer."""
    show("norms_layer", named, *names)
    return st.selectbox("Layer", names, key="norms_layer", width=420, on_change=_choose, args=(named,))


def _choose(drawn: str) -> None:
    """Select the layer that was chosen, if it is not the one that was drawn.

    Where a tab was shut meanwhile, Streamlit may take what the browser still holds for a choice; it would drop the
    selected channel.
    """
    if (chosen := st.session_state["norms_layer"]) != drawn:
        select_layer(chosen)
