"""The survival map as it stands on a page: the order of its channels, the map, how to read it."""

import streamlit as st

from winnow.dashboard.canvas import survival_map
from winnow.dashboard.frames import channel_states, groups
from winnow.dashboard.shared.panel import explain, source
from winnow.dashboard.shared.selection import Selection, select, selected
from winnow.engine.runs.run import Run

ORDERS: dict[channel_states.Order, str] = {
    "network": "network order",
    "norm": "norm",
    "death": "epoch of death",
}


def survival(run: Run) -> Selection | None:
    """Draw the map of a run that has norms; return the channel that is selected."""
    norms = groups.norms(run)
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
    board = survival_map.Board(run.id, norms, by, chosen, channel_states.states(run) == channel_states.NEAR_PLACE)
    survival_map.survival_map(board, "survival_map", _picked)
    reading, moment = survival_map.reading(run.spec.penalty.groups), f"{source(run)} · after epoch {norms.at[-1]}"
    explain(lambda: channel_states.channels(run), "survival_map", reading, moment)
    return chosen


def no_norms() -> None:
    """Say why there is no map yet."""
    st.info(
        "The map is drawn once the network is built and its norms are recorded, a few seconds after the start. "
        "The Train page says what the run is waiting for.",
        icon=":material/grid_on:",
    )


def _picked(chosen: Selection | None) -> None:
    select(chosen.layer, chosen.channel) if chosen else select(None)
