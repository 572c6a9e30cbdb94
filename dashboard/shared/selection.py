"""The one linked selection: a channel of a layer, the same in every view.

It lives in the address as `layer` and `channel`, beside `run`: a copied link shows it again, and the browser's Back
undoes it. An address can be written by anyone, so it counts only where the run has such a channel. The navigation
clears the address; the session therefore keeps what it said last, for the next page to write it there again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from winnow.engine.runs.norm_log import Layer

RUN, LAYER, CHANNEL = "run", "layer", "channel"
PRUNING, EXPLANATION, TASK = "pruning", "explanation", "task"
STUDY = "study"
ONE, OTHER = "a", "b"  # the two runs that are compared
LINKED = (RUN, LAYER, CHANNEL, PRUNING, EXPLANATION, TASK, STUDY)
KEPT = "linked"


@dataclass(frozen=True)
class Selection:
    """One channel of one layer."""

    layer: str
    channel: int


def selected(layers: Iterable[Layer]) -> Selection | None:
    """Return the channel that the address names, if it is one of these layers'."""
    return known(st.query_params.get(LAYER, ""), st.query_params.get(CHANNEL, ""), layers)


def selected_layer(layers: Iterable[Layer]) -> str | None:
    """Return the layer that the address names, with or without a channel, if it is one of these."""
    named = st.query_params.get(LAYER)
    return named if named in {layer.name for layer in layers} else None


def select(layer: str | None, channel: int | None = None) -> None:
    """Write the selection to the address: a channel, a whole layer, or nothing."""
    named = {LAYER: layer, CHANNEL: None if channel is None else str(channel)}
    for name in (CHANNEL, LAYER):  # in this order: Back must never meet a channel without its layer
        if named[name] is None and name in st.query_params:
            del st.query_params[name]
    wanted = {name: value for name, value in named.items() if value is not None}
    if wanted:
        st.query_params.update(wanted)
    keep()


def keep() -> None:
    """Note what the address says, for the next page."""
    st.session_state[KEPT] = {name: st.query_params[name] for name in LINKED if name in st.query_params}


def recall() -> None:
    """Write what was noted to an address that names no run; one that does is somebody's link and counts as it is."""
    kept = st.session_state.get(KEPT)
    if kept and RUN not in st.query_params:
        st.query_params.update({name: value for name, value in kept.items() if name not in st.query_params})


def known(layer: str, channel: str, layers: Iterable[Layer]) -> Selection | None:
    """Return the selection that two texts describe; None unless one of the layers is called so and is wide enough."""
    widths = {known.name: known.groups for known in layers}
    if not re.fullmatch(r"[0-9]{1,9}", channel) or int(channel) >= widths.get(layer, 0):
        return None
    return Selection(layer, int(channel))
