"""The views of a look at a data set: samples, targets, findings."""

import streamlit as st

from winnow.dashboard.figures import pictures, target_values
from winnow.dashboard.figures.pictures import extent_of
from winnow.dashboard.frames import looks
from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.shared import address
from winnow.dashboard.shared.formatting import isolated, plain, sentence
from winnow.dashboard.shared.panel import Chart, draw
from winnow.dashboard.shared.targets import (
    ACROSS,
    Shown,
    class_colours,
    picture_row,
    scale_said,
    target_shown,
)
from winnow.engine.runs.look import Look, Pictures
from winnow.engine.runs.reading import DamagedFileError

TABS = ("Samples", "Targets", "Findings")
COVERAGE = (
    "Images with a target: images with at least one known entry. Known: the share of all entries (pixels, labels) that "
    "are known."
)


def draw_views(look: Look) -> None:
    """Draw the open view."""
    for tab, view in zip(address.tabs("data_view", TABS), (_samples, _targets, _findings), strict=True):
        if tab.open:
            with tab:
                view(look)


def _samples(look: Look) -> None:
    """Draw one of the kept samples with all its targets."""
    try:
        known = look.pictures()
    except ValueError as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    splits = list(dict.fromkeys(sample["split"] for sample in known.samples))
    if not splits:
        st.info("No sample could be read. Findings says why.", icon=":material/image_not_supported:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = address.segments("split", "Split", {name: name for name in splits}, splits[0])
        titles = {place: str(known.samples[place]["index"]) for place in known.places(split)}
        place = address.segments("sample", "Sample", titles, next(iter(titles)))
    try:
        _sample(known, place)
    except DamagedFileError as error:
        st.error(sentence(str(error)), icon=":material/error:")


def _sample(known: Pictures, place: int) -> None:
    image, targets = known.sample(place)
    picture = pictures.enlarged(pictures.image(image))
    dense: list[Shown] = [("image", picture)]
    words: list[Shown] = []
    for task, value in targets.items():
        field = looks.task_field(known, task)
        extent = extent_of([value], field.kind)
        own = (f"{task}{scale_said(extent, field)}", target_shown(value, field, extent, picture.shape[:2]))
        (words if isinstance(own[1], str) else dense).append(own)
    for first in range(0, len(dense), ACROSS):
        picture_row(dense[first : first + ACROSS])
    for task, value in targets.items():
        class_colours(looks.task_field(known, task), [value])
    if words:
        st.markdown("  \n".join(f"**{plain(task)}**: {plain(str(said))}" for task, said in words))
    absent = [task for task in known.tasks if task not in targets]
    if absent:
        st.warning(f"Cannot be read: {plain(', '.join(absent))}. Findings says why.", icon=":material/warning:")
    where = known.samples[place]["where"]
    st.caption(plain(where) if where else "Made from a seed, or part of the package.")


def _targets(look: Look) -> None:
    """Draw what the targets of a task hold, and how much of each task is known."""
    coverage = looks.look_table(look, "coverage")
    tasks = list(dict.fromkeys(coverage["task"]))
    if tasks:
        task = address.segments("task_of_data", "Task", {name: plain(name) for name in tasks}, tasks[0])
        _held(look, task, str(coverage[coverage["task"] == task]["unit"].iloc[0]))
    st.dataframe(
        coverage.assign(known=100 * coverage["known"].astype(float), unit=coverage["unit"].replace("1", "")),
        key="coverage",
        hide_index=True,
        placeholder="–",
        column_order=["split", "task", "kind", "unit", "samples", "images", "known"],
        column_config={
            "images": st.column_config.NumberColumn("images with a target"),
            "known": st.column_config.NumberColumn("known", format="%.1f %%"),
        },
        height="content" if len(coverage) <= 15 else 560,
    )
    st.caption(COVERAGE)


def _held(look: Look, task: str, unit: str) -> None:
    """Draw the share of each class, or the histogram of the values."""
    about = f"{plain(isolated(look.spec.name))} · {plain(look.id)} · {plain(task)}"
    classes = looks.classes_of_splits(look, task)
    if not classes.empty:
        draw(Chart(target_values.class_shares(classes), classes), "class_shares", target_values.CLASSES, about)
        return
    values = looks.values_of_splits(look, task)
    figure = target_values.value_histogram(values, unit)
    draw(Chart(figure, values), "value_histogram", target_values.VALUES, about)


def _findings(look: Look) -> None:
    """List what is wrong and what is worth knowing."""
    splits, findings, notes = (looks.look_table(look, name) for name in ("splits", "findings", "notes"))
    st.dataframe(splits, key="splits", hide_index=True, placeholder="–", height="content")
    for note in notes["note"]:
        st.info(plain(str(note)), icon=":material/info:")
    if findings.empty:
        st.success("Every file was read and every value was checked: nothing is wrong.", icon=":material/check_circle:")
        return
    st.dataframe(
        findings, key="findings", hide_index=True, placeholder="–", height="content" if len(findings) <= 15 else 560
    )
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.caption("A file that cannot be read stops a run at its start, before any time is spent.", width="stretch")
        st.download_button(
            "CSV",
            data=lambda: csv(findings),
            file_name=f"{look.id}-findings.csv",
            mime="text/csv",
            key="findings_csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
