"""The survival map: layer × channel on one canvas, drawn in the browser without a chart library.

Rows are layers, cells are channels: hatched grey where the group is exactly zero, else coloured by its norm on a log
scale that holds for the whole run, so that epochs can be compared; outlined where it is near the threshold. The canvas
stays when new norms come. What is selected comes from the page and is reported to it; the page keeps it in the address.
Norms travel as float32 in base64, near as one bit, an order as two bytes a channel: 64 layers ×
512 channels are 180 kB, 270 kB in an order of their own.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.canvas.components import markup, named, reported, script, style
from winnow.dashboard.canvas.levels import Scale, levels, maps_of, text
from winnow.dashboard.frames import channel_states
from winnow.dashboard.frames.cells import NOUNS, Cell, Kind
from winnow.dashboard.frames.groups import Norms
from winnow.engine.runs.quantities import NEAR

CELLS: dict[Kind, str] = {
    "input": "one cell per input channel of the layer",
    "output": "one cell per filter of the layer",
    "coupled": "one cell per channel that the layer writes, with everything else that writes or reads it",
}
_mount = st.components.v2.component(
    "winnow_survival_map", html=markup("survival.html"), css=style("survival.css"), js=script("survival.js")
)


@dataclass(frozen=True)
class Board:
    """What the map shows: the newest norms of a run, of groups of a kind, in which order, and what is selected."""

    run: str
    norms: Norms
    kind: Kind = "input"
    by: channel_states.Order = "network"
    selected: Cell | None = None
    near: NDArray[np.bool_] | None = None  # by the rule where the engine has not said it
    called: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """{layer: {number of a channel: what the user calls it}}."""


def survival_map(board: Board, key: str, picked: Callable[[Cell | None], None]) -> None:
    """Draw the map; `picked` is called before the page is drawn again, with the cell that the user went to."""

    def report() -> None:
        heard, cell = reported(st.session_state[key].get("picked"), board.run, board.norms.layers, board.kind)
        if heard:
            picked(cell)

    _mount(key=key, data=survival_payload(board), on_picked_change=report)


def reading(kind: Kind) -> str:
    """Say how to read the map of groups of this kind (engine.specs.train.PenaltySpec.groups)."""
    return (
        f"One row per layer, from the input at the top; {CELLS[kind]}. Hatched: dead, exactly zero. Colour: norm of "
        f"the living groups, log scale. Outlined: near the threshold, a norm below {100 * NEAR:.0f} % of the largest "
        "of its layer. Click a cell, or move with the arrow keys; [ and ] jump to the previous and the next living "
        "group."
    )


def survival_payload(board: Board) -> dict[str, Any]:
    """Return what the browser needs: names and widths of the layers, the newest norms, the ends of the scale."""
    norms = board.norms
    low, high = norms.extent
    near = channel_states.near(norms) if board.near is None else board.near
    order = np.concatenate(channel_states.order(norms, board.by) or [np.zeros(0, np.intp)])
    return {
        "of": board.run,
        "noun": NOUNS[board.kind],
        "layers": [layer.name for layer in norms.layers],
        "counts": [layer.groups for layer in norms.layers],
        "norms": _text(channel_states.newest(norms).astype("<f4")),
        "near": _text(np.packbits(near, bitorder="little")),
        "order": "" if board.by == "network" else _text(order.astype("<u2")),
        "selected": named(board.selected),
        "called": {layer: dict(names) for layer, names in board.called.items()},
        "low": low,
        "high": high,
    }


def replayable(board: Board) -> dict[str, Any]:
    """Return the map as canvas/report.js draws it."""
    norms = board.norms
    low, high = norms.extent
    near = channel_states.near(norms) if board.near is None else board.near
    shades = levels(channel_states.newest(norms), near, Scale(low, high))
    return {
        **maps_of(norms.layers, NOUNS[board.kind], (low, high)),
        "labels": [f"after epoch {norms.at[-1]}"],
        "levels": [text(shades)],
    }


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
