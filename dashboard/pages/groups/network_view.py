"""The network of a run: what it is filled by, the drawing, how to read it."""

import streamlit as st

from winnow.dashboard.canvas import network_graph
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import channel_states, groups, network
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.shared import address
from winnow.dashboard.shared.panel import DrawnFigure, explain, source
from winnow.dashboard.shared.selection import select, selected, selected_layer
from winnow.engine.runs.run import Run

TITLES: dict[network.By, str] = {
    "used": "what is used",
    "kept": "what stays",
    "lead": "leading task",
    "macs": "MACs",
}
MISSING = (
    "The graph of the network is stored with the first epoch. This run has none: it has not finished an epoch, or it "
    "was trained by an older version. Train it again, for example with “New run” → the same choices, to see it."
)
UNEXPLAINED = (
    "This run has not been explained yet, so that nobody knows which task leads a channel. Explain it on the page "
    "Explain, or in a terminal: `winnow explain RUN`."
)


def network_view(run: Run) -> None:
    """Draw the network of a run; a click selects a layer."""
    nodes = network.nodes(run)
    if nodes.empty:
        st.info(MISSING, icon=":material/account_tree:")
        return
    by = address.segments("by", "Colour by", TITLES, "used")
    work = network.explained_by(run) if by == "lead" else None
    if by == "lead" and work is None:
        st.info(UNEXPLAINED, icon=":material/hourglass_empty:")
    drawing = network_graph.Drawing(
        run.id,
        nodes,
        network.edges(run),
        network.layout(run),
        by,
        {} if work is None else network.led(work),
        {name: look for name, look in styles(list(run.spec.data.fields)).items() if name in run.spec.tasks},
        selected_layer(groups.norms(run).layers),
    )
    network_graph.network_graph(drawing, "network", lambda layer: _select(run, layer))
    about = f"{source(run)}{'' if work is None else f' · {work.id}'}"
    frame = network.nodes(run).drop(columns=["across", "down"])
    explain(lambda: frame, "network", network_graph.READING, about, DrawnFigure(place="network", shown=None))


def _select(run: Run, layer: str) -> None:
    """Select a layer by the channel with the largest norm, unless a channel of it is selected already."""
    norms, kind = groups.norms(run), run.spec.penalty.groups
    found = selected(norms.layers, kind).cell
    if found is not None and found.layer == layer:
        return
    names = [known.name for known in norms.layers]
    first, end = norms.starts[names.index(layer) :][:2]
    select(Cell(layer, int(channel_states.newest(norms)[first:end].argmax()), kind))
