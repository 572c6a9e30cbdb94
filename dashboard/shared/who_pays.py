"""Who pays, on a page: the images that lost most, the chosen one in pictures, the classes with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from winnow.dashboard.figures import pictures
from winnow.dashboard.figures.paired_differences import CLASSES_READING, class_changes
from winnow.dashboard.frames import who_pays as frames
from winnow.dashboard.frames.answers.answer import count, percent
from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import measured, plain
from winnow.dashboard.shared.panel import Chart, draw, explain, keyed, tall
from winnow.dashboard.shared.targets import Shown, picture_row
from winnow.dashboard.shared.task_pictures import class_names, task_pictures
from winnow.engine.explain.maps.store import SpatialStore

SHOWN = 60  # rows of the table; its download holds all
IMAGES = (
    "One row per image, the largest loss at the top. Lost: by how much the metric of the task is worse on this image; "
    "below 0 it is better. Moved: how far the two predictions are apart. Tick a row to see the image."
)


@dataclass(frozen=True)
class PairView:
    """What is compared: the frames, what the two networks are called, pictures of them, what a caption must carry.

    `pictures` holds {name: store}: one store with both networks, or one for each.
    """

    judged: frames.JudgedPair
    names: tuple[str, str]
    pictures: Mapping[str, SpatialStore]
    about: str


def paying_view(view: PairView) -> None:
    """Draw who pays; the frames hold at least one image."""
    titles = {task: plain(task) for task in view.judged.tasks}
    task = address.segments("pays", "Task", titles, next(iter(titles)))
    images = view.judged.images
    own = images[images["task"] == task].reset_index(drop=True)
    st.markdown(_sentence(own, task, view.names))
    left, right = st.columns([1, 1], gap="large")
    with left:
        place = _table(own, task, view)
    classes = frames.iou_changes(view.judged.classes[view.judged.classes["task"] == task])
    with right:
        if len(classes):
            draw(Chart(class_changes(classes), classes), "class_changes", CLASSES_READING, view.about)
        else:
            st.caption("IoU by class exists for segmentation only.")
    number = place if place is not None else _first(own, view)
    if number is None:
        st.caption(
            "There are no pictures of these images in both networks. The maps of an explanation may include some."
        )
        return
    _pictures(view, number, task)


def _sentence(own: pd.DataFrame, task: str, names: Sequence[str]) -> str:
    """Say how many images lost, and whether a few bear it."""
    known = own["lost"].dropna()
    worse, part = int((known > 0).sum()), frames.burden(own)
    verb = "is" if worse == 1 else "are"
    said = f"{plain(task)}: {worse} of {count(len(known), 'image')} {verb} worse with {plain(names[1])} than with "
    said += plain(names[0])
    if worse and part == part:
        said += f"; the worst tenth of them accounts for {percent(100 * part)} of the loss"
    return f"**{said}.**"


def _table(own: pd.DataFrame, task: str, view: PairView) -> int | None:
    """List the images; return the one that is ticked."""
    unit = str(own["unit"].iloc[0])
    shown = own.head(SHOWN)
    frame = pd.DataFrame(
        {
            "image": shown["image"],
            view.names[0]: [measured(value, unit) for value in shown["one"]],
            view.names[1]: [measured(value, unit) for value in shown["other"]],
            "lost": shown["lost"],
        }
    )
    if "changed" in shown:
        frame["moved"] = [
            measured(value, str(unit)) for value, unit in zip(shown["changed"], shown["changed_unit"], strict=True)
        ]
    picked = st.dataframe(
        frame,
        key=keyed("paying_images", [view.about, task]),
        hide_index=True,
        height=tall(len(frame), 12, 390),
        row_height=30,
        on_select="rerun",
        selection_mode="single-row",
        column_config={"lost": st.column_config.NumberColumn(f"lost [{unit}]", format="%+.3g")},
        placeholder="–",
    )
    first = f" The first {SHOWN} of {len(own):,}; the CSV has all." if len(own) > SHOWN else ""
    explain(lambda: own, "paying_images", f"{IMAGES}{first}", view.about)
    rows = picked.selection.rows
    return int(frame["image"].iloc[rows[0]]) if rows and rows[0] < len(frame) else None


def _first(own: pd.DataFrame, view: PairView) -> int | None:
    """Return the image that lost most among those with pictures."""
    known = set.intersection(*(set(store.numbers) for store in view.pictures.values())) if view.pictures else set()
    return next((int(number) for number in own["image"] if number in known), None)


def _pictures(view: PairView, number: int, first: str) -> None:
    """Draw an image with target and both predictions of every task, the chosen task first."""
    stores = {name: store for name, store in view.pictures.items() if number in store.numbers}
    if len(stores) < len(view.pictures) or not stores:
        kept = (
            sorted(set.intersection(*(set(store.numbers) for store in view.pictures.values()))) if view.pictures else []
        )
        said = f" There are pictures of images {', '.join(map(str, kept))}." if kept else ""
        st.caption(f"There are no pictures of image {number}: only of those that lost most.{said}")
        return
    store = next(iter(stores.values()))
    picture = pictures.enlarged(pictures.image(store.images()[store.numbers.index(number)]))
    st.markdown(f"**Image {number}**")
    tasks = [first, *(task for task in view.judged.tasks if task != first)]
    for task in [task for task in tasks if all(task in own.tasks for own in stores.values())]:
        row: list[Shown] = [("input", picture)]
        for place, (name, own) in enumerate(stores.items()):
            found = task_pictures(own, task, own.numbers.index(number), picture.shape[:2])
            row += [(f"{name}: {title}" if name else title, value) for title, value in found[0 if not place else 1 :]]
        picture_row(row)
        class_names(store, task, store.numbers.index(number))
