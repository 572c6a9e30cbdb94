"""Where channels are active and where they are silent: the top images of one, every layer position by position."""

from typing import Any

import numpy as np
import streamlit as st

from winnow.dashboard.figures import kernel, pictures, silence_tiles
from winnow.dashboard.frames import explanations, maps
from winnow.dashboard.frames.answers.answer import percent
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.concepts import cell_title, names_of_channels
from winnow.dashboard.pages.explain.in_images import channel_row, no_maps, with_maps
from winnow.dashboard.shared import address, run_figures
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import PICTURES, Chart, draw, explain, keyed, source, tall
from winnow.dashboard.shared.selection import select, select_layer, selected_layer
from winnow.engine.explain.maps.store import SpatialStore, Top
from winnow.engine.runs.derived import DerivedJob

ACROSS = 3  # pictures side by side
CROP = 128  # px: width of a crop
READING = (
    "The images in which the channel's mean activation is largest, the largest on the left. Over each: where the "
    "channel is active; yellow is most. Below each: the receptive field of the position where it is most active, "
    "measured on the network. Silence: the share of all images in which the channel is exactly 0 at that position."
)
ALL = -1  # in place of the place of an image
OLDER = (
    "The maps of this explanation were made by an older version, which did not measure whole layers. Explain the run "
    "again, below, to see them."
)
CHANNELS = (
    "Silent: the share of all positions and images at which the channel is exactly 0. Left out are channels that the "
    "layer reads with zero weights only. A channel at 100 % has weights but is never active, so no task relies on it. "
    "Tick a row to select its channel."
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
    st.text(f"{cell_title(work.run, chosen)}: the images where it is most active, of {len(answers)}")
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
            _crop(column, best, place, tuple(known.index["size"]))


def _crop(column: Any, best: Top, place: int, size: tuple[int, ...]) -> None:
    """Draw the part of an image that the channel sees where it is most active."""
    part = pictures.cropped(best.pictures[place], best.windows[place], size) if best.windows is not None else None
    if part is None:
        return
    top, left, bottom, right = (int(end) for end in best.windows[place]) if best.windows is not None else (0, 0, 0, 0)
    said = f"what it sees there: {bottom - top} × {right - left} px"
    shown = pictures.enlarged(pictures.image(part))
    column.image(shown, caption=said, width=CROP, output_format="PNG", alt=said)


def _silence(known: SpatialStore, chosen: Cell) -> None:
    """Say how often the channel is exactly 0, and show where."""
    silent = known.silent(chosen.layer, chosen.channel)
    left, right = st.columns([1, 2], vertical_alignment="center")
    blank = np.full((pictures.LEAST, pictures.LEAST, 3), 128, np.uint8)
    said = "silence, by position"
    left.image(pictures.overlaid(blank, silent, 1.0), caption=said, width="stretch", output_format="PNG", alt=said)
    right.metric(
        "Silent, share of all positions and images",
        percent(100 * float(silent.mean())),
        help="A channel is silent where it is exactly 0: behind a ReLU, wherever nothing activates it",
    )


def silence_view(work: DerivedJob, chosen: Cell | None, about: str) -> None:
    """Draw where each layer is silent; below it the channels of the selected layer, and the selected channel."""
    known = maps.store(work)
    if known is None:
        no_maps()
        return
    if not known.silent_layers():
        st.info(OLDER, icon=":material/history:")
        return
    titles = {ALL: "all images", **{place: str(number) for place, number in enumerate(known.numbers)}}
    place = address.segments("silence_of", "Averaged over, or in image", titles, ALL)
    layer = selected_layer(explanations.explained_layers(work))
    shown = maps.layer_silences(known, None if place == ALL else place)
    figure = silence_tiles.named_tiles(silence_tiles.silence_tiles(shown, layer), shown)
    images = f"{known.index['looked_at']} images" if place == ALL else f"image {titles[place]}"
    chart = Chart(figure, maps.silence_frame(known))
    draw(chart, "silence", silence_tiles.READING, f"{about} · {images}", lambda points: _clicked(points, known))
    if layer in known.silent_layers():
        _silent_channels(work, known, layer, about)
    if chosen is not None:
        _one(work, chosen, about)


def _clicked(points: list[object], known: SpatialStore) -> None:
    """Select the layer whose map was clicked."""
    names = known.silent_layers()
    places = [point.get("point_index", -1) for point in points if isinstance(point, dict)]
    found = [names[place] for place in places if isinstance(place, int) and 0 <= place < len(names)]
    if found:
        select_layer(found[0])


def _silent_channels(work: DerivedJob, known: SpatialStore, layer: str, about: str) -> None:
    """List the living channels of a layer, the most silent first."""
    frame = maps.silence_of(work, known, layer)
    if any(names := names_of_channels(work.run, [layer] * len(frame), frame["channel"])):
        frame.insert(1, "name", names)
    st.markdown(f"**Channels of {plain(layer)}**")
    key = keyed("silent_channels", [work.id, layer])

    def ticked() -> None:
        rows = st.session_state[key].selection.rows
        if rows and rows[0] < len(frame):
            select(Cell(layer, int(frame["channel"].iloc[rows[0]])))

    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        placeholder="–",
        height=tall(len(frame), 10, 330),
        row_height=30,
        on_select=ticked,
        selection_mode="single-row",
        column_config={
            "silent": st.column_config.ProgressColumn("silent [%]", format="%.0f %%", min_value=0, max_value=100)
        },
    )
    explain(lambda: frame, "silent_channels", CHANNELS, about)


def _one(work: DerivedJob, chosen: Cell, about: str) -> None:
    """Draw the selected channel: its kernels, where it is active and silent, where each task relies on it."""
    known = maps.store_for(work, chosen)
    st.markdown(f"**{plain(cell_title(work.run, chosen))}**")
    if known is None or not known.has(chosen.layer, chosen.channel):
        if known is not None:
            with_maps(work, known, chosen)
    else:
        channel_row(known, chosen)
    if work.run.spec.penalty.groups == "input":
        draw(run_figures.channel_charts(work.run, chosen)[1], "kernel", kernel.READING, source(work.run))
