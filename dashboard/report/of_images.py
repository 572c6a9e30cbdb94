"""What a report shows in images: what one channel answers to, and on which pixels a task relies."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from winnow.dashboard.figures import paired_differences, pictures, task_changes
from winnow.dashboard.figures.pictures import Picture
from winnow.dashboard.figures.style import styles
from winnow.dashboard.frames import before_after, explanations, maps, reliance, who_pays
from winnow.dashboard.frames.answers import of_pruning
from winnow.dashboard.frames.answers.answer import MOST_NAMED, joined_up, percent
from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.concepts import cell_title
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.report.of_run import judged, newest_pruning
from winnow.dashboard.report.parts import Badge, Card, Cards, Figure, ReportSection, ReportTable, Shown
from winnow.dashboard.shared.formatting import measured
from winnow.dashboard.shared.panel import Chart
from winnow.dashboard.shared.task_pictures import task_pictures
from winnow.engine.explain.maps.store import Method, SpatialStore
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

CHANNELS, PIXELS = "What does one channel answer to?", "Which pixels does each task rely on?"
NO_MAPS = "This explanation has no maps, so no image is shown."
PER_TASK, MOST_CARDS, MOST_IMAGES, MOST_TASKS = 2, 6, 4, 6
WORST = 5  # images of a task, in a table
LOST = (
    "For each task, the images that lost most. Lost: by how much the metric is worse. Moved: how far the predictions "
    "are apart."
)
WORST_TITLES = {
    "image": "image",
    "task": "task",
    "metric": "metric",
    "unit": "unit",
    "one": "dense",
    "other": "pruned",
    "lost": "lost",
    "changed": "moved",
    "changed_unit": "unit of moved",
}
WORST_SEEN = "For each task, the image that lost most: its target, and the predictions before and after the removal."
HELD = "maps over pixels are not compared with ablation"
SIDE = 128  # px of a picture; a browser enlarges it, pixel by pixel
ANSWERS = (
    "The images in which the channel's mean activation is largest, the largest first. Over each: where the channel is "
    "active; yellow is most."
)
SEEN = (
    "Each map lies over the grey image. Yellow: the largest values over all shown images; no colour: nothing. "
    "Integrated gradients and occlusion: the pixels on which the task depends."
)
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}
UNCHECKED = Badge("not checked", "grey")


def channels_answer(work: DerivedJob, badge: Badge) -> ReportSection:
    """Say, of the channels that the tasks rely on most and that have maps, to which images they answer."""
    known = maps.store(work)
    chosen = _relied_cells(work, known) if known else {}
    if known is None or not chosen:
        return _without_maps(work, CHANNELS, "channels")
    frame = pd.concat([maps.answers(known, cell).assign(channel=str(cell)) for cell in chosen], ignore_index=True)
    cards = [_card(work, known, cell, task) for cell, task in chosen.items()]
    images, split = int(known.index["looked_at"]), SPLIT_WORDS[explanations.asked_of_explanation(work).split]
    claim = f"{cards[0].title}: {cards[0].facts}."
    facts = [f"n = {images} {split} images looked at", f"explanation {work.id}"]
    return ReportSection(CHANNELS, claim, facts, badge, [Cards("top_images", frame, ANSWERS, cards)], key="channels")


def pixels_seen(work: DerivedJob, facts: list[str]) -> ReportSection:
    """Say on how small a part of the pixels half of each task's attribution lies."""
    known = maps.store(work)
    if known is None:
        return _without_maps(work, PIXELS, "pixels")
    every = [task for task in explanations.explained_tasks(work) if task in known.tasks]
    names, left_out = drawn_tasks(every)
    halves = {task: half_of(known.attribution("integrated_gradients", task)) for task in every}
    said = [f"{percent(100 * float(own.mean()))} of the pixels for {task}" for task, own in halves.items()]
    claim = (
        f"Half of the attribution lies on {joined_up(said, MOST_NAMED)}, on average over {_images(len(known.numbers))}."
    )
    frame = pd.DataFrame(
        [(task, number, part) for task, own in halves.items() for number, part in zip(known.numbers, own, strict=True)],
        columns=["task", "image", "part of the pixels with half of the attribution"],
    )
    cards = [_seen(known, task, place) for task in names for place in range(min(MOST_IMAGES // 2, len(known.numbers)))]
    own = [
        f"n = {_images(len(known.numbers))}",
        *facts[1:2],
        *facts[-1:],
        "maps over pixels are not compared with ablation",
    ]
    notes = [*left_out, *(f"{task}: {_kept(known, task)}" for task in names)]
    shown = [Cards("pixels", frame, SEEN, cards)]
    return ReportSection(PIXELS, claim, own, UNCHECKED, shown, notes, key="pixels")


def drawn_tasks(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tasks that a section draws, at most MOST_TASKS, and what it says of those that it leaves out."""
    drawn = list(names[:MOST_TASKS])
    note = f"Drawn for the first {len(drawn)} of {len(names)} tasks; the files hold the numbers of all."
    return drawn, [note] if len(drawn) < len(names) else []


def paid(run: Run) -> ReportSection:
    """Say which tasks, images and classes the removal cost something."""
    question, work = "Who pays?", newest_pruning(run)
    if work is None:
        missing = "Nothing has been removed from this run yet, so no image is worse for it."
        command = f"winnow prune {run.id}"
        return ReportSection(question, missing, [judged(run)], missing=missing, command=command, key="pays")
    changes, looks = before_after.task_change_frame(work, tasks(run.spec)), styles(list(run.spec.data.fields))
    chart = Chart(task_changes.task_changes(changes, looks), changes)
    shown: list[Shown] = [Figure("task_changes", chart, task_changes.READING)]
    found = who_pays.of_pruning(work)
    if found.images.empty:
        note = (
            "These are means over all images. This pruning did not judge each image, and a mean can hide single ones."
        )
        claim = of_pruning.paying_answer(changes)
        return ReportSection(question, claim, [judged(run), f"pruning {work.id}"], None, shown, [note], key="pays")
    classes = who_pays.iou_changes(found.classes)
    if len(classes):
        shown.append(
            Figure(
                "class_changes",
                Chart(paired_differences.class_changes(classes), classes),
                paired_differences.CLASSES_READING,
            )
        )
    if (found.images["lost"] > 0).any():
        worst = found.images[found.images["lost"] > 0].groupby("task", sort=False).head(WORST)
        shown += [ReportTable("worst_images", worst, LOST, WORST_TITLES), *_worst(work, found)]
    claim = f"{of_pruning.paying_answer(changes)} {of_pruning.images_answer(found.images, classes)}".strip()
    facts = [judged(run), f"n = {found.images['image'].nunique()} images one by one", f"pruning {work.id}"]
    return ReportSection(question, claim, facts, None, shown, key="pays")


def _worst(work: DerivedJob, found: who_pays.JudgedPair) -> list[Shown]:
    """Return cards of the images that lost most, of those that have pictures."""
    known, cards = maps.store(work), list[Card]()
    if known is None:
        return []
    names, left_out = drawn_tasks([task for task in found.tasks if task in known.tasks])
    for task in names:
        own = found.images[(found.images["task"] == task) & (found.images["lost"] > 0)]
        kept = own[own["image"].isin(known.numbers)]
        for _, row in kept.head(1).iterrows():
            place = known.numbers.index(int(row["image"]))
            picture = _small(pictures.image(known.images()[place]))
            unit = str(row["unit"])
            facts = f"{row['metric']} from {measured(row['one'], unit)} to {measured(row['other'], unit)}"
            both = [("input", picture), *_values(known, task, place, picture.shape)]
            cards.append(Card(f"{task}, image {int(row['image'])}", facts, both))
    reading = " ".join([WORST_SEEN, *left_out])
    return [Cards("worst_pictures", found.images, reading, cards)] if cards else []


def half_of(attribution: pictures.Array) -> pictures.Array:
    """Return, of each map (K, h, w), the smallest part of its pixels that holds half of the sum of its absolute values.

    NaN where a map is 0 everywhere.
    """
    flat = -np.sort(-np.abs(attribution.reshape(len(attribution), -1)), axis=1)
    whole = flat.sum(axis=1, keepdims=True)
    counted = (np.cumsum(flat, axis=1) < whole / 2).sum(axis=1) + 1
    return np.where(whole[:, 0] > 0, counted / flat.shape[1], np.nan)


def _images(number: int) -> str:
    return f"{number} shown image{'s' if number != 1 else ''}"


def _without_maps(work: DerivedJob, question: str, key: str) -> ReportSection:
    command = f"winnow explain {work.run.id} --maps 8"
    return ReportSection(question, NO_MAPS, missing=NO_MAPS, command=command, key=key)


def _relied_cells(work: DerivedJob, known: SpatialStore) -> dict[Cell, str]:
    """Return the channels with maps that each task relies on most, and which task that is: each channel once."""
    method, chosen = explanations.methods(work)[0], dict[Cell, str]()
    for task in explanations.explained_tasks(work):
        ranked = reliance.ranked(work, method, task)
        cells = (
            Cell(str(layer), int(channel)) for layer, channel in zip(ranked["layer"], ranked["channel"], strict=True)
        )
        own = (cell for cell in cells if known.has(cell.layer, cell.channel) and cell not in chosen)
        for _, cell in zip(range(PER_TASK), own, strict=False):
            chosen[cell] = task
    return dict(list(chosen.items())[:MOST_CARDS])


def _card(work: DerivedJob, known: SpatialStore, cell: Cell, task: str) -> Card:
    best = known.top(cell.layer, cell.channel)
    activations = np.abs(best.activations)
    shown = [
        (
            f"image {best.numbers[place]}, mean {best.means[place]:.3g}",
            pictures.over(_small(pictures.image(best.pictures[place])), activations, place),
        )
        for place in range(min(MOST_IMAGES, len(best.numbers)))
    ]
    silent = percent(100 * float(known.silent(cell.layer, cell.channel).mean()))
    first = joined_up(str(number) for number in best.numbers[:3])
    facts = f"most active in image{'s' if len(best.numbers) > 1 else ''} {first}, silent at {silent} of all positions"
    return Card(cell_title(work.run, cell), f"{facts}; {_share(work, cell, task)}", shown)


def _share(work: DerivedJob, cell: Cell, task: str) -> str:
    row = reliance.use(work, cell)
    share = float(row[f"share_{task}"]) if row is not None else np.nan
    said = f", which has {percent(100 * share)} of the shares in it" if np.isfinite(share) else ""
    return f"among the first for {task}{said}"


def _seen(known: SpatialStore, task: str, place: int) -> Card:
    picture = _small(pictures.image(known.images()[place]))
    shown: list[tuple[str, Picture]] = [("input", picture), *_values(known, task, place, picture.shape)]
    methods: tuple[Method, ...] = ("integrated_gradients", "occlusion")
    for method in methods:
        values = np.abs(known.attribution(method, task))
        shown.append((method.replace("_", " "), pictures.over(picture, values, place)))
    return Card(f"{task}, image {known.numbers[place]}", "", shown)


def _values(known: SpatialStore, task: str, place: int, shape: tuple[int, ...]) -> list[tuple[str, Picture]]:
    """Return target and predictions of a task that has a value at every pixel, on one scale."""
    found = task_pictures(known, task, place, shape[:2])
    return [(name.removeprefix(f"{task}: "), value) for name, value in found if not isinstance(value, str)]


def _kept(known: SpatialStore, task: str) -> str:
    """Say how far integrated gradients keep what they promise."""
    promised = known.completeness()
    own = promised[promised["task"] == task]
    missed = 100 * own["residual"].abs().sum() / (own["difference"].abs().sum() or 1.0)
    return f"integrated gradients in {known.index['steps']} steps, their sum is off by {missed:.1f} %."


def _small(picture: Picture) -> Picture:
    """Return a picture of about `SIDE` pixels, enlarged or reduced by a whole factor."""
    step = max(1, min(picture.shape[:2]) // SIDE)
    small: Picture = pictures.enlarged(picture[::step, ::step], SIDE)
    return small
