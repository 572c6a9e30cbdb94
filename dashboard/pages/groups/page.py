"""Which groups survive, and where? The sparsity numbers, the survival map and what else shows the groups now.

The views are on the left, the selected channel on the right of all of them, so that a click on the map or on a row of a
table is answered in the same place. Only the open view is drawn: four Plotly charts at most, the channel's included.
"""

import pandas as pd
import streamlit as st

from winnow.dashboard.canvas import network_graph
from winnow.dashboard.figures import firmness, layer_counts, norm_spread
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import channel_states, current, groups, network
from winnow.dashboard.frames.answers import of_run
from winnow.dashboard.frames.cells import Cell, Kind
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.pages.groups.sparsity_numbers import sparsity_numbers
from winnow.dashboard.shared import address, run_figures
from winnow.dashboard.shared.answer import answer
from winnow.dashboard.shared.channel import channel
from winnow.dashboard.shared.norms_over_epochs import over_epochs
from winnow.dashboard.shared.panel import DrawnFigure, draw, explain, source, tall
from winnow.dashboard.shared.run_bar import frozen, readable, redrawn, run_bar
from winnow.dashboard.shared.selection import select, selected, selected_layer
from winnow.dashboard.shared.survival import no_norms, survival
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

EVERY = 2.0  # seconds between two drawings of a live run
TABS = ("Survival map", "Network", "Layers", "Over epochs", "Firmness")
MOST_ROWS = 300  # of the table of the closest to a change; its download holds all
EDGE = (
    "Dead groups and groups near the threshold, the closest to a change first. Distance of a living group: its norm "
    "÷ the largest norm of its layer; at 0 it dies. Distance of a dead group: 1 − firmness; at 0 it revives. Tick a "
    "row to select its channel."
)
TITLES: dict[network.By, str] = {
    "used": "what is used",
    "kept": "what stays",
    "lead": "leading task",
    "macs": "MACs",
}
MISSING = (
    "The graph of the network is stored with the first epoch. This run has none: it has not finished an epoch, or it "
    "was trained by an older version. To see it, train the run again with the same choices."
)
UNEXPLAINED = (
    "This run has not been explained yet, so it is unknown which task leads a channel. Explain it on the page Explain, "
    "or in a terminal: `winnow explain RUN`."
)


def page() -> None:
    """Draw the groups of the chosen run."""
    if (bar := run_bar()) is None:
        return
    run, beside = bar
    with beside:
        live = run.status.state in LIVE
        held = frozen(live)
    if readable(run):
        redrawn(_groups, EVERY if live and not held else None, run, live)


def _groups(run: Run, drawn_live: bool) -> None:
    """Draw all; once the run has ended, draw the whole page, which then does not change any more."""
    if drawn_live and run.status.state not in LIVE:
        st.rerun()
    norms = groups.norms(run)
    if not len(norms.values):
        no_norms(run)
        return
    answer(of_run.groups_answer(summary(run), channel_states.layers(run)))
    sparsity_numbers(run)
    left, right = st.columns([2, 1], gap="large")
    with left:
        _views(run)
    with right:
        st.subheader("Selected channel", anchor=False)
        channel(run, selected(norms.layers, run.spec.penalty.groups))


def _views(run: Run) -> None:
    survival_tab, drawn, now, over, firm = address.tabs("part", TABS)
    if survival_tab.open:
        with survival_tab:
            survival(run)
    if drawn.open:
        with drawn:
            _network(run)
    if now.open:
        with now:
            _layers(run)
    if over.open:
        with over:
            over_epochs(run, 0.0)
    if firm.open:
        with firm:
            _firmness(run)


def _network(run: Run) -> None:
    """Draw the network of a run; a click selects a layer."""
    nodes = network.network_nodes(run)
    if nodes.empty:
        st.info(MISSING, icon=":material/account_tree:")
        return
    by = address.segments("by", "Colour by", TITLES, "used")
    work = network.explained_by(run) if by == "lead" else None
    if by == "lead" and work is None:
        st.info(UNEXPLAINED, icon=":material/hourglass_empty:")
    drawing = network_graph.NetworkDrawing(
        run.id,
        nodes,
        network.network_edges(run),
        network.network_layout(run),
        by,
        {} if work is None else network.led_by_task(work),
        {name: look for name, look in styles(list(run.spec.data.fields)).items() if name in run.spec.tasks},
        selected_layer(groups.norms(run).layers),
    )
    network_graph.network_graph(drawing, "network", lambda layer: _select_largest(run, layer))
    about = f"{source(run)}{'' if work is None else f' · {work.id}'}"
    frame = network.network_nodes(run).drop(columns=["across", "down"])
    explain(lambda: frame, "network", network_graph.READING, about, DrawnFigure(place="network"))


def _select_largest(run: Run, layer: str) -> None:
    """Select a layer by the channel with the largest norm, unless a channel of it is selected already."""
    norms, kind = groups.norms(run), run.spec.penalty.groups
    found = selected(norms.layers, kind).cell
    if found is not None and found.layer == layer:
        return
    names = [known.name for known in norms.layers]
    first, end = norms.starts[names.index(layer) :][:2]
    select(Cell(layer, int(channel_states.newest(norms)[first:end].argmax()), kind))


def _layers(run: Run) -> None:
    counts, spread = run_figures.layers_now_charts(run)
    moment = f"{source(run)} · after epoch {groups.norms(run).at[-1]}"
    draw(counts, "layer_counts", layer_counts.READING, moment)
    draw(spread, "norm_spread", norm_spread.READING, moment)


def _firmness(run: Run) -> None:
    moment = f"{source(run)} · after epoch {groups.norms(run).at[-1]}"
    draw(run_figures.firmness_chart(run), "firmness", firmness.READING, moment)
    st.subheader("Closest to a change", anchor=False)
    frame = current.edge(run)
    if frame.empty:
        st.info("No group is zero or near the threshold. A larger strength or target would bring some there.")
        return
    _edge(frame.head(MOST_ROWS), run.spec.penalty.groups)
    explain(lambda: current.edge(run), "edge", EDGE, moment)


def _edge(shown: pd.DataFrame, kind: Kind) -> None:
    config = st.column_config
    st.dataframe(
        shown,
        key="edge_table",
        hide_index=True,
        height=tall(len(shown), 10, 330),
        row_height=30,
        on_select=lambda: _ticked(shown, kind),
        selection_mode="single-row",
        column_order=[name for name in shown.columns if name != "relative"],
        column_config={
            "distance": config.ProgressColumn("distance", format="%.3f", min_value=0, max_value=1, width=110),
            "norm": config.NumberColumn(format="%.2e"),
            "firmness": config.NumberColumn(format="%.2f"),
        },
        placeholder="–",
    )


def _ticked(shown: pd.DataFrame, kind: Kind) -> None:
    """Select the channel of the row that was ticked."""
    rows = st.session_state["edge_table"].selection.rows
    if rows and rows[0] < len(shown):
        row = shown.iloc[rows[0]]
        select(Cell(str(row["layer"]), int(row["channel"]), kind))
