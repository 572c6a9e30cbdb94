"""Targets and predictions of one image, side by side: pictures where there is a value per pixel, words otherwise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from winnow.dashboard.figures import pictures
from winnow.dashboard.figures.pictures import Picture
from winnow.dashboard.shared.formatting import measured, plain
from winnow.data.sample import Field

Array = NDArray[Any]
Shown = tuple[str, Picture | str]
Extent = tuple[float, float] | None
ACROSS = 3  # pictures side by side, at least: alone they would fill the page


def picture_row(shown: list[Shown]) -> None:
    """Draw pictures side by side, each with its name below; what is no picture is said in words."""
    for column, (name, value) in zip(st.columns(max(len(shown), ACROSS)), shown, strict=False):
        if isinstance(value, str):
            column.metric(plain(name), plain(value))
        else:
            column.image(value, caption=plain(name), width="stretch", output_format="PNG", alt=name)


def class_colours(field: Field, values: Sequence[Array]) -> None:
    """Say which colours stand for which of the classes that are there; nothing for another kind of target."""
    if field.kind != "segmentation" or not values:
        return
    seen = np.unique(np.concatenate([value.ravel() for value in values]))
    with st.container(horizontal=True):
        for number in seen[seen >= 0]:
            swatch = np.broadcast_to(pictures.palette(len(field.classes))[number], (10, 64, 3))
            name = field.classes[number]
            st.image(swatch.astype(np.uint8), caption=plain(name), width=64, output_format="PNG", alt=name)


def target_shown(value: Array, field: Field, extent: Extent, shape: tuple[int, ...]) -> Picture | str:
    """Return a target or a prediction of one image as a picture of a shape, or in words."""
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


def scale_said(extent: Extent, field: Field) -> str:
    """Say the ends of a scale, after a comma; nothing without one."""
    return "" if extent is None else f", {extent[0]:.2g} to {measured(extent[1], field.unit)}"
