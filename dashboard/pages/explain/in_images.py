"""One image: input, target and prediction, which pixels a task relies on, where the selected channel is active."""

import numpy as np
import streamlit as st

from winnow.dashboard.figures import pictures
from winnow.dashboard.figures.pictures import Picture, over
from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.frames import explanations, maps
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.shared import address
from winnow.dashboard.shared.panel import PICTURES, explain
from winnow.dashboard.shared.selection import select
from winnow.dashboard.shared.targets import (
    Shown,
    class_colours,
    picture_row,
    scale_said,
    target_shown,
)
from winnow.engine.explain.maps.store import Method, SpatialStore
from winnow.engine.runs.derived import DerivedJob

METHODS: tuple[Method, ...] = ("integrated_gradients", "occlusion")
READING = (
    "Each map lies over the grey image. Yellow: the largest values over all shown images; no colour: nothing. "
    "Integrated gradients and occlusion: the pixels on which the task's {of} depends. Reliance: where a task would "
    "change if the channel were at its mean. Strokes: the channel is exactly 0 there."
)
NONE = (
    "This explanation has no maps. Maps show where in the images a channel is active and where it is silent, and which "
    "pixels each task relies on. Explain the run again, below, to make them: it takes some seconds more."
)


def in_images(work: DerivedJob, task: str, chosen: Cell | None, about: str) -> None:
    """Draw one of the shown images with all that is known over it."""
    known = maps.store_for(work, chosen)
    if known is None:
        no_maps()
        return
    place = _image(known)
    picture = pictures.enlarged(pictures.image(known.images()[place]))
    picture_row([("input", picture), *_values(known, task, place, picture.shape[:2])])
    field, values = maps.field(known, task), (known.target(task), known.prediction(task))
    if field is not None:
        class_colours(field, [value[place] for value in values if value is not None])
    picture_row(_attributions(known, task, place, picture))
    if chosen is None or not known.has(chosen.layer, chosen.channel):
        with_maps(work, known, chosen)
    else:
        st.text(str(chosen))
        picture_row(_channel(known, chosen, place, picture))
    said = f"{about} · {_made(known, task)}"
    explain(known.completeness, "in_images", READING.format(of=known.index["of"]), said, PICTURES)


def no_maps() -> None:
    """Say that there are no maps, and how to get some."""
    st.info(NONE, icon=":material/image:")


def with_maps(work: DerivedJob, known: SpatialStore, chosen: Cell | None) -> None:
    """Say which channels have maps, and let the user select one of them, or ask for maps of the selected one."""
    cells = maps.cells(known)
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
    asked = explanations.asked(work).model_dump(mode="json")
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


def _values(known: SpatialStore, task: str, place: int, shape: tuple[int, ...]) -> list[Shown]:
    """Return target and prediction of a task, on one scale."""
    field, values = maps.field(known, task), {"target": known.target(task), "prediction": known.prediction(task)}
    own = {name: value[place] for name, value in values.items() if value is not None}
    if field is None:
        return []
    extent = pictures.extent_of(list(own.values()), field.kind)
    scale = scale_said(extent, field)
    return [(f"{task}: {name}{scale}", target_shown(value, field, extent, shape)) for name, value in own.items()]


def _made(known: SpatialStore, task: str) -> str:
    """Say how the maps were made, and how far integrated gradients keep what they promise."""
    promised = known.completeness()
    own = promised[promised["task"] == task]
    missed = 100 * own["residual"].abs().sum() / (own["difference"].abs().sum() or 1.0)
    return (
        f"integrated gradients in {known.index['steps']} points, their sum misses {missed:.1f} % · occlusion by "
        f"patches of {known.index['patch']} pixels · maps over pixels are not held against ablation"
    )


def _attributions(known: SpatialStore, task: str, place: int, picture: Picture) -> list[Shown]:
    gradients, patches = (np.abs(known.attribution(method, task)) for method in METHODS)
    return [
        (f"{task}: integrated gradients", over(picture, gradients, place)),
        (f"{task}: occlusion", over(picture, patches, place)),
    ]


def _channel(known: SpatialStore, chosen: Cell, place: int, picture: Picture) -> list[Shown]:
    """Return where a channel answers, silent places struck, and where each task relies on it."""
    layer, channel = chosen.layer, chosen.channel
    activation, silent = np.abs(known.activation(layer, channel)), known.silent_here(layer, channel)[place]
    shown: list[Shown] = [("activation", pictures.struck(over(picture, activation, place), silent))]
    return shown + [
        (f"reliance of {task}", over(picture, known.reliance(layer, channel, task), place)) for task in known.tasks
    ]
