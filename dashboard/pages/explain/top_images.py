"""One channel: the images in which it is most active, where in them, and where it is silent on average."""

import numpy as np
import streamlit as st

from winnow.dashboard.figures import pictures
from winnow.dashboard.frames import maps
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.pages.explain.in_images import no_maps, with_maps
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import PICTURES, explain
from winnow.engine.explain.maps.store import SpatialStore
from winnow.engine.runs.derived import DerivedJob

ACROSS = 3  # pictures side by side
READING = (
    "The images in which the channel's mean activation is largest, the largest on the left. Over each: where the "
    "channel is active; yellow is most. Silence: the share of all images in which the channel is exactly 0 at that "
    "position."
)


def top_images(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    """Draw the images in which a channel is most active."""
    known = maps.store_for(work, chosen)
    if known is None:
        no_maps()
        return
    if chosen is None or not known.has(chosen.layer, chosen.channel):
        with_maps(work, known, chosen)
        return
    answers = maps.answers(known, chosen)
    st.text(f"{chosen}: the images where it is most active, of {len(answers)}")
    _gallery(known, chosen)
    _silence(known, chosen)
    explain(lambda: maps.answers(known, chosen), "top_images", READING, about, PICTURES)


def _gallery(known: SpatialStore, chosen: Cell) -> None:
    best = known.top(chosen.layer, chosen.channel)
    activations = np.abs(best.activations)
    for first in range(0, len(best.numbers), ACROSS):
        for column, place in zip(
            st.columns(ACROSS), range(first, min(first + ACROSS, len(best.numbers))), strict=False
        ):
            picture = pictures.enlarged(pictures.image(best.pictures[place]))
            said = f"image {best.numbers[place]}, mean activation {best.means[place]:.3g}"
            column.image(
                pictures.over(picture, activations, place),
                caption=plain(said),
                width="stretch",
                output_format="PNG",
                alt=said,
            )


def _silence(known: SpatialStore, chosen: Cell) -> None:
    """Say how often the channel is exactly 0, and show where."""
    silent = known.silent(chosen.layer, chosen.channel)
    left, right = st.columns([1, 2], vertical_alignment="center")
    blank = np.full((pictures.LEAST, pictures.LEAST, 3), 128, np.uint8)
    said = "silence, by position"
    left.image(pictures.overlaid(blank, silent, 1.0), caption=said, width="stretch", output_format="PNG", alt=said)
    right.metric(
        "Silent, share of all positions and images",
        f"{100 * float(silent.mean()):.0f} %",
        help="A channel is silent where it is exactly 0: behind a ReLU, wherever nothing activates it",
    )
