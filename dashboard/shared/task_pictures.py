"""Pictures of an image beside one another: input, target, predictions of a task, each on one scale."""

import streamlit as st

from winnow.dashboard.figures import pictures
from winnow.dashboard.frames import maps
from winnow.dashboard.shared.targets import Shown, class_colours, scale_said, target_shown
from winnow.engine.explain.maps.store import SpatialStore


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
    extent = pictures.extent_of(list(own.values()), field.kind)
    scale = scale_said(extent, field)
    return [(f"{task}: {name}{scale}", target_shown(value, field, extent, shape)) for name, value in own.items()]


def class_names(known: SpatialStore, task: str, place: int) -> None:
    """Say which colours stand for which of the classes that are there or predicted."""
    field, values = maps.field(known, task), (known.target(task), known.prediction(task))
    if field is not None:
        class_colours(field, [value[place] for value in values if value is not None])


def void_pixels(known: SpatialStore, task: str, place: int) -> None:
    """Explain the grey of a target: pixels without a label, which count nowhere."""
    field, target = maps.field(known, task), known.target(task)
    if field is None or target is None or field.kind not in pictures.DENSE:
        return
    share = float((~pictures.known_pixels(target[place], field)).mean())
    if share:
        st.caption(
            f"Mid grey in the target: void, no label there ({100 * share:.0f} % of this image). The "
            "prediction there counts in no loss and in no metric."
        )
