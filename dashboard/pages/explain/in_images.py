"""One image: input, target and prediction, which pixels a task relies on, where the selected channel is active."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.figures import pictures
from winnow.dashboard.figures.pictures import Picture, over
from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.frames import explanations, maps
from winnow.dashboard.frames.answers.answer import percent
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.concepts import cell_title
from winnow.dashboard.shared import address
from winnow.dashboard.shared.panel import PICTURES, explain
from winnow.dashboard.shared.selection import select
from winnow.dashboard.shared.targets import Shown, picture_row
from winnow.dashboard.shared.task_pictures import class_names, task_pictures, void_pixels
from winnow.engine.explain.maps.store import Method, SpatialStore
from winnow.engine.runs.derived import DerivedJob

Array = NDArray[Any]
METHODS: tuple[Method, ...] = ("integrated_gradients", "occlusion")
READING = (
    "Each map lies over the grey image. Yellow: the largest values over all shown images; no colour: nothing. "
    "Integrated gradients and occlusion: the pixels on which the task's {of} depends. Reliance: where a task would "
    "change if the channel were at its mean. Strokes: the channel is exactly 0 there."
)
NONE = (
    "This explanation has no maps. Maps show where in the images a channel is active and where it is silent, and which "
    "pixels each task relies on. Explain the run again, below, to make them. It takes a few seconds longer."
)


def in_images(work: DerivedJob, task: str, chosen: Cell | None, about: str) -> None:
    """Draw one of the shown images with all that is known over it."""
    known = maps.store_for(work, chosen)
    if known is None:
        no_maps()
        return
    place = _image(known)
    picture = pictures.enlarged(pictures.image(known.images()[place]))
    picture_row([("input", picture), *task_pictures(known, task, place, picture.shape[:2])])
    class_names(known, task, place)
    void_pixels(known, task, place)
    picture_row(_attributions(known, task, place, picture))
    if chosen is None or not known.has(chosen.layer, chosen.channel):
        with_maps(work, known, chosen)
    else:
        st.text(cell_title(work.run, chosen))
        picture_row(_channel(known, chosen, place, picture))
        _bar()
    said = f"{about} · {_made(known, task)}"
    explain(known.completeness, "in_images", READING.format(of=known.index["of"]), said, PICTURES)


def channel_row(known: SpatialStore, chosen: Cell) -> None:
    """Draw the maps of a channel over one of the shown images, with how silent it is on average over all of them."""
    place = _image(known)
    picture = pictures.enlarged(pictures.image(known.images()[place]))
    silent = known.silent(chosen.layer, chosen.channel)
    blank = np.full((pictures.LEAST, pictures.LEAST, 3), 128, np.uint8)
    average: Shown = ("silence over all images, 0 to 100 %", pictures.overlaid(blank, silent, 1.0))
    picture_row([*_channel(known, chosen, place, picture), average])
    _bar()


def _bar() -> None:
    """Draw the scale of the maps: what the colours of all of them mean."""
    st.image(
        pictures.map_scale(), caption="from nothing (grey image) to the largest value of each map", width=260,
        output_format="PNG", alt="scale of the maps",
    )  # fmt: skip


def no_maps() -> None:
    """Say that there are no maps, and how to get some."""
    st.info(NONE, icon=":material/image:")


def with_maps(work: DerivedJob, known: SpatialStore, chosen: Cell | None) -> None:
    """Say which channels have maps, and let the user select one of them, or ask for maps of the selected one."""
    cells = maps.mapped_cells(known)
    words = "Select a channel that has maps." if chosen is None else "There are no maps of the selected channel."
    st.selectbox(
        f"{words} These {len(cells)} have:",
        cells,
        format_func=str,
        index=None,
        key="cell_with_maps",
        placeholder="channel",
        on_change=_selected,
        width=420,
    )

    if chosen is not None and st.button("Map the selected channel", key="map_channel", icon=":material/image_search:"):
        _map(work, chosen)


def _map(work: DerivedJob, chosen: Cell) -> None:
    """Start an explanation of the channel's layer that makes maps of this channel, and nothing that takes long."""
    asked = explanations.asked_of_explanation(work).model_dump(mode="json")
    wanted = {"layers": [chosen.layer], "channels": [chosen.channel], "ablations": 0, "randomisations": False}
    if start_job(work.run, {**asked, **wanted, "methods": asked["methods"][:1], "maps": asked["maps"] or 8}):
        st.rerun()


def _selected() -> None:
    cell = st.session_state["cell_with_maps"]
    if isinstance(cell, Cell):
        select(cell)


def _image(known: SpatialStore) -> int:
    """Ask which of the shown images; return its place."""
    titles = {place: str(number) for place, number in enumerate(known.numbers)}
    return address.segments("image", "Image", titles, 0)


def _made(known: SpatialStore, task: str) -> str:
    """Say how the maps were made, and how far integrated gradients keep what they promise."""
    promised = known.completeness()
    own = promised[promised["task"] == task]
    missed = 100 * own["residual"].abs().sum() / (own["difference"].abs().sum() or 1.0)
    return (
        f"integrated gradients in {known.index['steps']} steps, their sum is off by {missed:.1f} % · occlusion by "
        f"patches of {known.index['patch']} pixels · maps over pixels are not compared with ablation"
    )


def _attributions(known: SpatialStore, task: str, place: int, picture: Picture) -> list[Shown]:
    gradients, patches = (np.abs(known.attribution(method, task)) for method in METHODS)
    return [
        (_scaled(f"{task}: integrated gradients", gradients), over(picture, gradients, place)),
        (_scaled(f"{task}: occlusion", patches), over(picture, patches, place)),
    ]


def _channel(known: SpatialStore, chosen: Cell, place: int, picture: Picture) -> list[Shown]:
    """Return where a channel answers, silent places struck, and where each task relies on it."""
    layer, channel = chosen.layer, chosen.channel
    activation, silent = np.abs(known.activation(layer, channel)), known.silent_here(layer, channel)[place]
    name = f"{_scaled('activation', activation)}, silent in {percent(100 * float(silent.mean()))}"
    relied = {task: known.reliance(layer, channel, task) for task in known.tasks}
    return [
        (name, pictures.struck(over(picture, activation, place), silent)),
        *((_scaled(f"reliance of {task}", values), over(picture, values, place)) for task, values in relied.items()),
    ]


def _scaled(name: str, values: Array, unit: str = "1") -> str:
    """Name a map with the two ends of its scale."""
    return f"{name}, 0 to {pictures.largest_of(values):.2g} [{unit}]"
