"""The selected cell, the same on every page; it stands in the address as `layer`, `channel` and, if need be, `kind`.

An address can be written by anyone, and a cell of one kind is none of another: it counts only where the page shows
cells of its kind and has this one. Where it does not, the page says so instead of showing a namesake.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from winnow.dashboard.frames.cells import KINDS, NOUNS, Cell, Kind, known
from winnow.dashboard.shared import address
from winnow.dashboard.shared.address import CHANNEL, KIND, LAYER
from winnow.dashboard.shared.formatting import plain
from winnow.engine.runs.norm_log import Layer


@dataclass(frozen=True)
class Selected:
    """The selected cell if it is one of this page; otherwise why it is not, in Markdown, "" where nothing is."""

    cell: Cell | None = None
    absent: str = ""


def selected(layers: Iterable[Layer], kind: Kind, where: str = "this network") -> Selected:
    """Return the cell that the address names, if it is one of these layers' and of this kind."""
    layer, channel, own = address.named(LAYER), address.named(CHANNEL), _kind()
    if layer is None or channel is None:
        return Selected()
    if own != kind:
        noun = NOUNS[own] if own else "cell of an unknown kind"
        return Selected(absent=_other_kind(f"{layer}, {noun} {channel}", kind))
    found = known(layer, channel, kind, layers)
    if found is None:
        return Selected(absent=f"The selected {plain(f'{NOUNS[kind]} {channel} of {layer}')} is not in {where}.")
    return Selected(found)


def selected_layer(layers: Iterable[Layer]) -> str | None:
    """Return the layer that the address names, with or without a channel, if it is one of these."""
    named = address.named(LAYER)
    return named if named in {layer.name for layer in layers} else None


def select(cell: Cell | None) -> None:
    """Select a cell, or nothing."""
    if cell is None:
        address.change({LAYER: None, CHANNEL: None, KIND: None})
        return
    kind = None if cell.kind == "input" else cell.kind
    address.change({LAYER: cell.layer, CHANNEL: str(cell.channel), KIND: kind})


def select_layer(layer: str) -> None:
    """Select a whole layer."""
    address.change({LAYER: layer, CHANNEL: None, KIND: None})


def say_absent(found: Selected) -> None:
    """Say why the selected cell is not shown, where it is not."""
    if found.absent:
        st.info(found.absent, icon=":material/swap_horiz:")


def _kind() -> Kind | None:
    """Return the kind that the address names, None for a word that is none."""
    named = address.named(KIND) or "input"
    return next((kind for kind in KINDS if kind == named), None)


def _other_kind(said: str, kind: Kind) -> str:
    """Say that a cell of another kind has no place among the cells of this one."""
    return (
        f"Selected: {plain(said)}. This page shows cells of another kind, each one {NOUNS[kind]} of a layer. "
        f"The run does not record which of them belong to it. Select {'an' if kind == 'input' else 'a'} {NOUNS[kind]} "
        "here."
    )
