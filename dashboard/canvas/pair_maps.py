"""Two survival maps beside one another, and what differs between them.

A level of the difference: 0 dead in both, 254 alive only in A, 255 alive only in B; 1 … 253 alive in both, from a norm
that is a tenth in B of what it is in A to one that is ten times as large.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.canvas.components import markup, named, reported, script, style
from winnow.dashboard.canvas.levels import levels, maps_of, scale_of, text
from winnow.dashboard.frames.cells import NOUNS, Cell, Kind
from winnow.engine.runs.norm_log import Layer

WIDE, NARROW = 1340, 920  # px: of a window with three maps, or two, in a row
ONLY_A, ONLY_B = 254, 255
MIDDLE, REACH = 127, 126
READING = (
    "Left A, middle B, right the difference. Blue: alive only in A; orange: only in B; grey: in both, bluer where the "
    "norm is larger in A and more orange where it is larger in B; hatched: in neither. Both maps have one scale of "
    "norms. A cell that is pointed at is framed in all three maps. Click one, or move with the arrow keys."
)
_mount = st.components.v2.component(
    "winnow_pair_maps", html=markup("pair.html"), css=style("pair.css"), js=script("pair.js")
)

Names = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class MapPair:
    """Two networks of the same layers: their names, the norms (2, groups), and which of them are near the threshold.

    `called`: what the user calls the channels of each, {layer: {channel: name}}.
    """

    titles: tuple[str, str]
    layers: tuple[Layer, ...]
    norms: NDArray[np.float32]
    near: NDArray[np.bool_]
    kind: Kind = "input"
    selected: Cell | None = None
    called: tuple[Names, Names] = ({}, {})


def pair_maps(pair: MapPair, key: str, picked: Callable[[Cell | None], None]) -> None:
    """Draw the three maps; `picked` is called before the page is drawn again, with the cell that the user went to."""
    data = pair_payload(pair)

    def report() -> None:
        heard, cell = reported(st.session_state[key].get("picked"), data["of"], pair.layers, pair.kind)
        if heard:
            picked(cell)

    st.html(_room(key, len(pair.layers)))
    _mount(key=key, data=data, on_picked_change=report)


def _room(key: str, layers: int) -> str:
    """Return a style that keeps the room of the maps before they are drawn, so that nothing below them moves.

    The heights are those of canvas/layout.js and pair.css: three maps beside one another, or two, or one.
    """
    one = layers * min(21, max(9, 620 // max(layers, 1))) + 48
    tall = {f"min-width: {WIDE}px": 1, f"max-width: {WIDE - 1}px": 2, f"max-width: {NARROW - 1}px": 3}
    rules = [
        f"@media ({when}) {{ .st-key-{key} {{ min-height: {60 + rows * one}px }} }}" for when, rows in tall.items()
    ]
    return f"<style>{' '.join(rules)}</style>"


def pair_payload(pair: MapPair) -> dict[str, Any]:
    """Return what the browser needs."""
    scale = scale_of(pair.norms)
    shades = levels(pair.norms, pair.near, scale)
    sent = {
        "titles": list(pair.titles),
        "layers": [layer.name for layer in pair.layers],
        "counts": [layer.groups for layer in pair.layers],
        "a": text(shades[0]),
        "b": text(shades[1]),
        "difference": text(difference(*pair.norms)),
        "low": scale.low,
        "high": scale.high,
        "noun": NOUNS[pair.kind],
    }
    digest = hashlib.sha256(repr(sorted(sent.items())).encode()).hexdigest()[:16]
    return {**sent, "digest": digest, "of": digest, "called": list(pair.called), "selected": named(pair.selected)}


def replayable_pair(pair: MapPair) -> dict[str, Any]:
    """Return the three maps as canvas/report.js draws them."""
    sent = pair_payload(pair)
    return {
        **maps_of(pair.layers, NOUNS[pair.kind], (sent["low"], sent["high"])),
        "titles": [f"A · {pair.titles[0]}", f"B · {pair.titles[1]}", "Difference, B against A"],
        "palettes": ["norm", "norm", "difference"],
        "labels": [""],
        "levels": [sent["a"], sent["b"], sent["difference"]],
    }


def difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the level of the difference of each group."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(np.log10(b / a), -1, 1)
    both = MIDDLE + np.rint(REACH * np.where(np.isfinite(ratio), ratio, 0))
    alive = np.where(a > 0, np.where(b > 0, both, ONLY_A), np.where(b > 0, ONLY_B, 0))
    return alive.astype(np.uint8)
