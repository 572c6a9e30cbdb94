"""The survival map on a page: the order of its channels, the map, how to read it."""

import streamlit as st

from winnow.dashboard.canvas import survival_map
from winnow.dashboard.frames import channel_states, groups
from winnow.dashboard.shared import address
from winnow.dashboard.shared.panel import Drawn, explain, source
from winnow.dashboard.shared.selection import Selected, select, selected
from winnow.engine.runs.run import Run

ORDERS: dict[channel_states.Order, str] = {
    "network": "network order",
    "norm": "norm",
    "death": "epoch of death",
}


def survival(run: Run) -> Selected:
    """Draw the map of a run that has norms; return what is selected."""
    norms, kind = groups.norms(run), run.spec.penalty.groups
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Channels by", width="content")
        by = address.segments("order", "Order of the channels", ORDERS, "network", quiet=True)
    found = selected(norms.layers, kind)
    near = channel_states.states(run) == channel_states.NEAR_PLACE
    board = survival_map.Board(run.id, norms, kind, by, found.cell, near)
    survival_map.survival_map(board, "survival_map", select)
    reading, moment = survival_map.reading(kind), f"{source(run)} · after epoch {norms.at[-1]}"
    drawn = Drawn("maps", "survival_map", lambda: survival_map.replayable(board))
    explain(lambda: channel_states.channels(run), "survival_map", reading, moment, drawn)
    return found


def no_norms() -> None:
    """Say why there is no map yet."""
    st.info(
        "The map is drawn once the network is built and its norms are recorded, a few seconds after the start. "
        "The Train page says what the run is waiting for.",
        icon=":material/grid_on:",
    )
