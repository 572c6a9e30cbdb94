"""The survival map: layer × channel on one canvas, drawn in the browser without a chart library.

Rows are layers, cells are channels: hatched grey where the group is exactly zero, else coloured by its norm on a log
scale that holds for the whole run, so that epochs can be compared. The canvas stays where it is when new norms come;
the selected cell is the component's state. The norms travel as float32 in base64: 64 layers × 512 channels are 175 kB.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from dashboard.frames.groups import Norms

HERE = Path(__file__).parent
SCRIPT = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("pens.js", "map.js"))
READING = (
    "One row per layer, from the input at the top; one cell per channel (input channel of that layer). Hatched: "
    "dead, exactly zero. Colour: norm of the living, log scale. Click a cell, or walk with the arrow keys; "
    "[ and ] jump to the previous and next survivor."
)
_mount = st.components.v2.component(
    "winnow_survival_map",
    html=(HERE / "map.html").read_text(encoding="utf-8"),
    css=(HERE / "map.css").read_text(encoding="utf-8"),
    js=SCRIPT,
)


@dataclass(frozen=True)
class Selection:
    """One channel of one layer."""

    layer: str
    channel: int


def survival_map(norms: Norms, run: str, key: str) -> Selection | None:
    """Draw the newest row of the norms and return the channel that the user selected, if it exists in this run."""
    result = _mount(key=key, data=payload(norms, run), on_selection_change=_nothing)
    return selection(result.get("selection"), norms, run)


def payload(norms: Norms, run: str) -> dict[str, Any]:
    """Return what the browser needs: names and widths of the layers, the newest norms, the ends of the scale."""
    newest = norms.values[-1] if len(norms.values) else np.zeros(0, np.float32)
    low, high = norms.extent
    return {
        "run": run,
        "layers": [layer.name for layer in norms.layers],
        "counts": [layer.groups for layer in norms.layers],
        "norms": base64.b64encode(newest.astype("<f4").tobytes()).decode("ascii"),
        "low": low,
        "high": high,
    }


def selection(value: Any, norms: Norms, run: str) -> Selection | None:
    """Return what a browser says is selected, after checking that this run has such a channel."""
    if not isinstance(value, Mapping) or value.get("run") != run:
        return None
    layer, channel = value.get("layer"), value.get("channel")
    widths = {known.name: known.groups for known in norms.layers}
    if not isinstance(layer, str) or not isinstance(channel, int) or not 0 <= channel < widths.get(layer, 0):
        return None
    return Selection(layer, channel)


def _nothing() -> None:
    """Declare `selection` as state; the page reads it on the rerun that follows."""
