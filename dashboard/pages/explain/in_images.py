"""One image: input, target and prediction, which pixels a task relies on, where the selected channel is active."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.figures import pictures
from winnow.dashboard.figures.pictures import Picture
from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.frames import explanations, maps
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import measured, plain
from winnow.dashboard.shared.panel import explain
from winnow.dashboard.shared.selection import select
from winnow.data.sample import Field
from winnow.engine.explain.maps.store import Method, SpatialStore
from winnow.engine.runs.derived import DerivedJob

Array = NDArray[Any]
Shown = tuple[str, Picture | str]
METHODS: tuple[Method, ...] = ("integrated_gradients", "occlusion")
ACROSS = 3  # pictures side by side, at least: alone they would fill the page
BRIGHT = 0.995  # quantile of a map over the shown images from which on it is at its brightest
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
    _row([("input", picture), *_values(known, task, place, picture.shape[:2])])
    _classes(known, task, place)
    _void(known, task, place)
    _row(_attributions(known, task, place, picture))
    if chosen is None or not known.has(chosen.layer, chosen.channel):
        with_maps(work, known, chosen)
    else:
        st.text(str(chosen))
        _row(_channel(known, chosen, place, picture))
        _bar()
    explain(known.completeness, "in_images", READING.format(of=known.index["of"]), f"{about} · {_made(known, task)}")


def channel_row(known: SpatialStore, chosen: Cell) -> None:
    """Draw the maps of a channel over one of the shown images, with how silent it is on average over all of them."""
    place = _image(known)
    picture = pictures.enlarged(pictures.image(known.images()[place]))
    silent = known.silent(chosen.layer, chosen.channel)
    blank = np.full((pictures.LEAST, pictures.LEAST, 3), 128, np.uint8)
    average: Shown = ("silence over all images, 0 to 100 %", pictures.overlaid(blank, silent, 1.0))
    _row([*_channel(known, chosen, place, picture), average])
    _bar()


def _bar() -> None:
    """Draw the scale of the maps: what the colours of all of them mean."""
    st.image(
        pictures.scale(), caption="from nothing (grey image) to the largest value of each map", width=260,
        output_format="PNG", alt="scale of the maps",
    )  # fmt: skip


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


def _row(shown: list[Shown]) -> None:
    """Draw pictures side by side, each with its name below; what is no picture is said in words."""
    for column, (name, value) in zip(st.columns(max(len(shown), ACROSS)), shown, strict=False):
        if isinstance(value, str):
            column.metric(plain(name), plain(value))
        else:
            column.image(value, caption=plain(name), width="stretch", output_format="PNG", alt=name)


def _values(known: SpatialStore, task: str, place: int, shape: tuple[int, ...]) -> list[Shown]:
    """Return target and prediction of a task, on one scale."""
    field, values = maps.field(known, task), {"target": known.target(task), "prediction": known.prediction(task)}
    own = {name: value[place] for name, value in values.items() if value is not None}
    if field is None:
        return []
    extent = _extent(list(own.values()), field.kind) if field.kind in ("depth", "map") else None
    scale = "" if extent is None else f", {extent[0]:.2g} to {measured(extent[1], field.unit)}"
    return [(f"{task}: {name}{scale}", _shown(value, field, extent, shape)) for name, value in own.items()]


def _classes(known: SpatialStore, task: str, place: int) -> None:
    """Say which colours stand for which of the classes that are there or predicted."""
    field, values = maps.field(known, task), (known.target(task), known.prediction(task))
    if field is None or field.kind != "segmentation":
        return
    seen = np.unique(np.concatenate([value[place].ravel() for value in values if value is not None]))
    with st.container(horizontal=True):
        for number in seen[seen >= 0]:
            swatch = np.broadcast_to(pictures.palette(len(field.classes))[number], (10, 64, 3))
            name = field.classes[number]
            st.image(swatch.astype(np.uint8), caption=plain(name), width=64, output_format="PNG", alt=name)


def _void(known: SpatialStore, task: str, place: int) -> None:
    """Explain the grey of a target: pixels without a label, which count nowhere."""
    field, target = maps.field(known, task), known.target(task)
    if field is None or target is None or field.kind not in pictures.DENSE:
        return
    share = float((~pictures.labelled(target[place], field)).mean())
    if share:
        st.caption(
            f"Mid grey in the target: void, no label there ({100 * share:.0f} % of this image). The prediction says "
            "something there too, but it counts in no loss and in no metric."
        )


def _made(known: SpatialStore, task: str) -> str:
    """Say how the maps were made, and how far integrated gradients keep what they promise."""
    promised = known.completeness()
    own = promised[promised["task"] == task]
    missed = 100 * own["residual"].abs().sum() / (own["difference"].abs().sum() or 1.0)
    return (
        f"integrated gradients in {known.index['steps']} points, their sum misses {missed:.1f} % · occlusion by "
        f"patches of {known.index['patch']} pixels · maps over pixels are not held against ablation"
    )


def _shown(value: Array, field: Field, extent: tuple[float, float] | None, shape: tuple[int, ...]) -> Picture | str:
    if field.kind in pictures.DENSE:
        picture: Picture = pictures.resized(pictures.dense(value, field, extent), shape)
        return picture
    if field.kind == "regression":
        return "not known" if np.isnan(value) else measured(float(value), field.unit)
    if field.kind == "vector":
        named = zip(field.classes, value, strict=True)
        known = [f"{name} {measured(float(own), field.unit)}" for name, own in named if not np.isnan(own)]
        return ", ".join(known) or "not known"
    if field.kind == "multilabel":
        there = [name for name, own in zip(field.classes, value, strict=True) if own > 0.5]
        return ", ".join(there) or ("none" if np.any(value >= 0) else "not known")
    place = int(np.argmax(value)) if np.ndim(value) else int(value)
    return field.classes[place] if 0 <= place < len(field.classes) else "not known"


def _extent(values: list[Array], kind: str) -> tuple[float, float]:
    """Return the least and the largest value of all, left out where it is not known: a depth of 0, a NaN of a map."""
    known = np.concatenate([value[~np.isnan(value) if kind == "map" else value > 0].astype(float) for value in values])
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


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
    name = f"{_scaled('activation', activation)}, silent in {100 * float(silent.mean()):.0f} %"
    relied = {task: known.reliance(layer, channel, task) for task in known.tasks}
    return [
        (name, pictures.struck(over(picture, activation, place), silent)),
        *((_scaled(f"reliance of {task}", values), over(picture, values, place)) for task, values in relied.items()),
    ]


def over(picture: Picture, values: Array, place: int) -> Picture:
    """Return one of some maps (K, h, w) ≥ 0 over its picture, on the scale of all of them."""
    return pictures.overlaid(picture, values[place], _largest(values))


def _largest(values: Array) -> float:
    return float(np.quantile(values, BRIGHT)) or float(values.max())


def _scaled(name: str, values: Array, unit: str = "1") -> str:
    """Name a map with the two ends of its scale."""
    return f"{name}, 0 to {_largest(values):.2g} [{unit}]"
