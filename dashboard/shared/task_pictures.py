"""Pictures of an image beside one another: input, target, predictions of a task, each on one scale."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.figures import pictures
from winnow.dashboard.figures.pictures import Picture
from winnow.dashboard.frames import maps
from winnow.dashboard.shared.formatting import measured, plain
from winnow.data.sample import Field
from winnow.engine.explain.maps.store import SpatialStore

Array = NDArray[Any]
Shown = tuple[str, Picture | str]
ACROSS = 3  # pictures side by side, at least: alone they would fill the page


def picture_row(shown: list[Shown]) -> None:
    """Draw pictures side by side, each with its name below; what is no picture is said in words."""
    for column, (name, value) in zip(st.columns(max(len(shown), ACROSS)), shown, strict=False):
        if isinstance(value, str):
            column.metric(plain(name), plain(value))
        else:
            column.image(value, caption=plain(name), width="stretch", output_format="PNG", alt=name)


def task_pictures(known: SpatialStore, task: str, place: int, shape: tuple[int, ...]) -> list[Shown]:
    """Return target and predictions of a task, on one scale; a pruning has a dense one and one that is pruned."""
    field = maps.field(known, task)
    before = known.dense(task)
    parts = {
        "target": known.target(task),
        "dense": before,
        "prediction" if before is None else "pruned": known.prediction(task),
    }
    own = {name: value[place] for name, value in parts.items() if value is not None}
    if field is None:
        return []
    extent = _extent(list(own.values()), field.kind) if field.kind in ("depth", "map") else None
    scale = "" if extent is None else f", {extent[0]:.2g} to {measured(extent[1], field.unit)}"
    return [(f"{task}: {name}{scale}", _shown(value, field, extent, shape)) for name, value in own.items()]


def class_names(known: SpatialStore, task: str, place: int) -> None:
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


def void_pixels(known: SpatialStore, task: str, place: int) -> None:
    """Explain the grey of a target: pixels without a label, which count nowhere."""
    field, target = maps.field(known, task), known.target(task)
    if field is None or target is None or field.kind not in pictures.DENSE:
        return
    share = float((~pictures.known_pixels(target[place], field)).mean())
    if share:
        st.caption(
            f"Mid grey in the target: void, no label there ({100 * share:.0f} % of this image). The prediction says "
            "something there too, but it counts in no loss and in no metric."
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
