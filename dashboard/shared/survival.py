"""The survival map on a page: the order of its channels, the map, how to read it."""

import streamlit as st

from winnow.dashboard.canvas import survival_map
from winnow.dashboard.frames import channel_states, groups, network
from winnow.dashboard.frames.concepts import names_by_layer
from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import measured
from winnow.dashboard.shared.panel import DrawnFigure, explain, source
from winnow.dashboard.shared.run_bar import ENDED
from winnow.dashboard.shared.selection import Selected, select, selected
from winnow.engine.runs.run import Run

WHAT_IF = (0, 0.1, 0.2, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 25, 30, 40, 50)  # % of the largest norm of a layer
ORDERS: dict[channel_states.Order, str] = {
    "network": "network order",
    "norm": "norm",
    "death": "epoch of death",
}
NOT_YET = (
    "The map is drawn once the network is built and its norms are recorded, a few seconds after the start. The Train "
    "page says what the run is waiting for."
)
NEVER = "This run ended before the norms of its groups were recorded, so there is no map. The Train page says why."


def survival(run: Run) -> Selected:
    """Draw the map of a run that has norms; return what is selected."""
    norms, kind = groups.norms(run), run.spec.penalty.groups
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Channels by", width="content")
        by = address.segments("order", "Order of the channels", ORDERS, "network", quiet=True)
    found = selected(norms.layers, kind)
    near = channel_states.states(run) == channel_states.NEAR_PLACE
    ordered, close = network.in_running_order(run, norms, near)
    board = survival_map.Board(run.id, ordered, kind, by, found.cell, close, names_by_layer(run, kind))
    survival_map.survival_map(board, "survival_map", select)
    reading, moment = survival_map.reading(kind), f"{source(run)} · after epoch {norms.at[-1]}"
    drawn = DrawnFigure("maps", "survival_map", lambda: survival_map.replayable(board))
    _what_if(run)
    explain(lambda: channel_states.channels(run), "survival_map", reading, moment, drawn)
    return found


def _what_if(run: Run) -> None:
    """Say what would be zero at another threshold; nothing is changed by it."""
    percent = st.select_slider(
        "What if everything below this share of its layer's largest norm were zero?",
        WHAT_IF,
        key="what_if_threshold",
        format_func=lambda value: f"{value:g} %",
        width=460,
        help="Computed from the newest norms. Nothing is changed. A pruning measures what the tasks lose.",
    )
    rows = channel_states.below(run, percent).to_dict("records")
    said = [
        f"{row['of']} zero: {measured(row['now'], '%')}" + (f" → **{measured(row['then'], '%')}**" if percent else "")
        for row in rows
        if row["now"] == row["now"]
    ]
    st.caption(" · ".join(said) + " of the penalised layers")


def no_norms(run: Run) -> None:
    """Say why there is no map, or none yet."""
    st.info(NEVER if run.status.state in ENDED else NOT_YET, icon=":material/grid_on:")
