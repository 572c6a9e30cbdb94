"""The survival map: layer × channel on one canvas, drawn in the browser without a chart library.

Rows are layers, cells are channels: hatched grey where the group is exactly zero, else coloured by its norm on a log
scale that holds for the whole run, so that epochs can be compared; outlined where it is near the threshold. The canvas
stays where it is when new norms come. What is selected comes from the page and is reported to it, so that the page can
keep it in the address. Norms travel as float32 in base64, near as one bit, an order as two bytes a channel: 64 layers ×
512 channels are 180 kB, 270 kB in an order of their own.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.frames import channel_states
from winnow.dashboard.frames.groups import Norms
from winnow.dashboard.shared.selection import Selection, known
from winnow.engine.runs.quantities import NEAR

HERE = Path(__file__).parent
SCRIPT = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("pens.js", "rows.js", "survival.js"))
STYLE = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("pens.css", "survival.css"))
CELLS = {
    "input": "one cell per input channel of the layer",
    "output": "one cell per filter of the layer",
    "coupled": "one cell per channel that is made there, with all that write and read it",
}
_mount = st.components.v2.component(
    "winnow_survival_map",
    html=(HERE / "survival.html").read_text(encoding="utf-8"),
    css=STYLE,
    js=SCRIPT,
)


@dataclass(frozen=True)
class Board:
    """What the map shows: the newest norms of a run, in which order, and what is selected."""

    run: str
    norms: Norms
    by: channel_states.Order = "network"
    selected: Selection | None = None
    near: NDArray[np.bool_] | None = None  # by the rule where the engine has not said it


def survival_map(board: Board, key: str, picked: Callable[[Selection | None], None]) -> None:
    """Draw the map; `picked` is called before the page is drawn again, with the channel that the user went to."""

    def report() -> None:
        value = st.session_state[key].get("picked")
        if isinstance(value, Mapping) and value.get("run") == board.run:
            picked(selection(value, board.norms))

    _mount(key=key, data=payload(board), on_picked_change=report)


def reading(groups: str) -> str:
    """Say how to read the map of groups of this kind (engine.specs.train.PenaltySpec.groups)."""
    return (
        f"One row per layer, from the input at the top; {CELLS[groups]}. Hatched: dead, exactly zero. Colour: norm of "
        f"the living, log scale. Outlined: near the threshold, a norm below {100 * NEAR:.0f} % of the largest of "
        "its layer. Click a cell, or walk with the arrow keys; [ and ] jump to the previous and next survivor."
    )


def payload(board: Board) -> dict[str, Any]:
    """Return what the browser needs: names and widths of the layers, the newest norms, the ends of the scale."""
    norms, chosen = board.norms, board.selected
    low, high = norms.extent
    near = channel_states.near(norms) if board.near is None else board.near
    order = np.concatenate(channel_states.order(norms, board.by) or [np.zeros(0, np.intp)])
    return {
        "run": board.run,
        "layers": [layer.name for layer in norms.layers],
        "counts": [layer.groups for layer in norms.layers],
        "norms": _text(channel_states.newest(norms).astype("<f4")),
        "near": _text(np.packbits(near, bitorder="little")),
        "order": "" if board.by == "network" else _text(order.astype("<u2")),
        "selected": None if chosen is None else {"layer": chosen.layer, "channel": chosen.channel},
        "low": low,
        "high": high,
    }


def selection(value: Mapping[str, Any], norms: Norms) -> Selection | None:
    """Return the channel that a browser says was picked, None for nothing or for one that this run doesn't have."""
    layer, channel = value.get("layer"), value.get("channel")
    return known(layer, str(channel), norms.layers) if isinstance(layer, str) and type(channel) is int else None


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
