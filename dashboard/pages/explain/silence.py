"""Spatial sparsity: where each layer is silent, the channels of one layer, and one channel in full."""

import streamlit as st

from winnow.dashboard.figures import kernel, silence_tiles
from winnow.dashboard.frames import explanations, maps
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.pages.explain.in_images import channel_row, no_maps, with_maps
from winnow.dashboard.shared import address, run_figures
from winnow.dashboard.shared.formatting import plain
from winnow.dashboard.shared.panel import Chart, draw, explain, keyed, source
from winnow.dashboard.shared.selection import select, select_layer, selected_layer
from winnow.engine.explain.maps.store import SpatialStore
from winnow.engine.runs.derived import DerivedJob

ALL = -1  # in place of the place of an image
OLDER = (
    "The maps of this explanation are of an older version, which did not measure whole layers. Explain the run again, "
    "below, to see them."
)
CHANNELS = (
    "Silent: the share of all positions and images at which the channel is exactly 0. Tick a row to select its "
    "channel. Dead channels are left out: they are silent everywhere."
)


def silence(work: DerivedJob, chosen: Cell | None, about: str) -> None:
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
    layer = selected_layer(explanations.layers(work))
    shown = maps.silence(known, None if place == ALL else place)
    figure = silence_tiles.labelled(silence_tiles.silence_tiles(shown, layer), shown)
    images = f"{known.index['looked_at']} images" if place == ALL else f"image {titles[place]}"
    chart = Chart(figure, maps.silence_frame(known))
    draw(chart, "silence", silence_tiles.READING, f"{about} · {images}", lambda points: _clicked(points, known))
    if layer in known.silent_layers():
        _channels(work, known, layer, about)
    if chosen is not None:
        _one(work, chosen, about)


def _clicked(points: list[object], known: SpatialStore) -> None:
    """Select the layer whose map was clicked."""
    names = known.silent_layers()
    places = [point.get("point_index", -1) for point in points if isinstance(point, dict)]
    found = [names[place] for place in places if isinstance(place, int) and 0 <= place < len(names)]
    if found:
        select_layer(found[0])


def _channels(work: DerivedJob, known: SpatialStore, layer: str, about: str) -> None:
    """List the living channels of a layer, the most silent first."""
    frame = maps.silence_of(work, known, layer)
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
        height=min(330, 40 + 30 * max(len(frame), 1)),
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
    st.markdown(f"**{plain(str(chosen))}**")
    if known is None or not known.has(chosen.layer, chosen.channel):
        if known is not None:
            with_maps(work, known, chosen)
    else:
        channel_row(known, chosen)
    if work.run.spec.penalty.groups == "input":
        draw(run_figures.channel(work.run, chosen)[1], "kernel", kernel.READING, source(work.run))
