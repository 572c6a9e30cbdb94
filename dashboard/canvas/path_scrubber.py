"""The scrubber of a path: one slider moves the charts and the survival map, in the browser, with no server trip.

All networks of a path are sent once (dashboard.canvas.levels). The page hears of it only when the user asks
for something: to open the run of a point, or to train where no network has been trained yet.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from winnow.dashboard.canvas.components import markup, named, reported, script, style
from winnow.dashboard.canvas.levels import levels, scale_of, text
from winnow.dashboard.figures.style import NEUTRAL, Style
from winnow.dashboard.frames.cells import NOUNS, Cell
from winnow.dashboard.frames.paths import FIRST, Networks
from winnow.engine.runs.quantities import Metric
from winnow.engine.specs.study import PathSpec

MOST_TASKS = 4
MOST_STRENGTH = 1e6  # of λ_max
MOST_TICKS = 11
CLOSE = 0.05  # of the axis: the words of two ticks would touch
COUNTS = {  # with colours of no task, as the tasks stand beside them
    "group_sparsity": ("groups", "#7F6FB5"),
    "parameter_sparsity": ("parameters", "#A9791C"),
    "mac_sparsity": ("MACs", "#808495"),
}
MARKS = {"elbow": "elbow", "one_standard_error": "one standard error"}
READING = (
    "Move the slider, drag over a chart, or use the arrow keys. Every point is a trained network, here that of the "
    "first seed. Between two points, the nearest one is shown; nothing is interpolated. Metrics: on the validation "
    "images, mean over seeds. Elbow: where the skill begins to fall. One standard error: the sparsest point whose "
    "skill is within one standard error of the best. Map: one row per layer, from the input at the top. "
    "At most the first four tasks have a chart of their own."
)
_mount = st.components.v2.component(
    "winnow_path_scrubber", html=markup("path.html"), css=style("path.css"), js=script("path.js")
)


@dataclass(frozen=True)
class Request:
    """What was asked of the page: to open a run of a path, or to train at a level (target in %, or part of λ_max)."""

    path: str
    run: str = ""
    level: float = 0.0


@dataclass(frozen=True)
class Course:
    """A path as the scrubber needs it: its id, what was asked, its networks, its tasks and how they look."""

    path: str
    spec: PathSpec
    networks: Networks
    tasks: Sequence[tuple[str, Metric]]
    styles: Mapping[str, Style]


@dataclass(frozen=True)
class Chosen:
    """The selected cell, and what the user calls the channels of each network, {layer: {channel: name}}."""

    cell: Cell | None
    called: Sequence[Mapping[str, Mapping[str, str]]]


def path_scrubber(
    course: Course,
    sent: Mapping[str, Any],
    chosen: Chosen,
    asked: Callable[[Request], None],
    picked: Callable[[Cell | None], None],
) -> None:
    """Draw the scrubber of what was `sent` (`path_payload`), with a cell selected.

    `asked` and `picked` are called before the page is drawn again.
    """
    key = "path_scrubber"

    def ask() -> None:
        value = st.session_state[key].get("asked")
        if isinstance(value, Mapping) and (found := request(value, course)) is not None:
            asked(found)

    def pick() -> None:
        kind = course.spec.base.penalty.groups
        heard, cell = reported(st.session_state[key].get("picked"), course.path, course.networks.layers, kind)
        if heard:
            picked(cell)

    _mount(
        key=key,
        data={**sent, "called": list(chosen.called), "selected": named(chosen.cell)},
        on_asked_change=ask,
        on_picked_change=pick,
    )


def request(value: Mapping[str, Any], course: Course) -> Request | None:
    """Return what a browser asks for, None where this path can't grant it."""
    if value.get("of") != course.path:
        return None
    run, level = value.get("run"), value.get("level")
    if value.get("what") == "open" and run in course.networks.points["run"].tolist():
        return Request(course.path, run=str(run))
    most = 100 if course.spec.targets else MOST_STRENGTH
    if value.get("what") != "train" or isinstance(level, bool) or not isinstance(level, int | float):
        return None
    return Request(course.path, level=float(level)) if 0 < level < most else None


def path_payload(course: Course) -> dict[str, Any]:
    """Return what the browser needs."""
    known = course.networks
    scale = scale_of(known.norms)
    packed = text(levels(known.norms, known.near, scale))
    sent = {
        "of": course.path,
        "noun": NOUNS[course.spec.base.penalty.groups],
        "layers": [layer.name for layer in known.layers],
        "counts": [layer.groups for layer in known.layers],
        "levels": packed,
        "low": scale.low,
        "high": scale.high,
        "points": _points(known.points),
        "panels": _panels(course),
        "axis": _axis(course),
        "first": 0,
    }
    return {**sent, "digest": hashlib.sha256(repr(sorted(sent.items())).encode()).hexdigest()[:16]}


def replayable_path(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the map at all points of a path, of what was `sent` (`path_payload`), as canvas/report.js draws it."""
    own = {name: sent[name] for name in ("layers", "counts", "noun", "low", "high", "first")}
    labels = [point["label"] for point in sent["points"]]
    return {**own, "titles": [""], "palettes": ["norm"], "labels": labels, "levels": [sent["levels"]]}


def _points(points: pd.DataFrame) -> list[dict[str, Any]]:
    every = max(1, -(-len(points) // MOST_TICKS))
    marked = points.loc[points[list(MARKS)].any(axis=1), "place"].tolist()
    rows = []
    for place, (_, point) in enumerate(points.iterrows()):
        marks = [word for name, word in MARKS.items() if bool(point[name])]
        short = str(point["label"]).removesuffix(" λ_max")
        room = all(abs(float(point["place"]) - other) > CLOSE for other in marked)
        rows.append(
            {
                "place": float(point["place"]),
                "label": str(point["label"]),
                "run": str(point["run"]),
                "marks": marks,
                "tick": short if marks or (room and place % every == 0) else "",
            }
        )
    return rows


def _panels(course: Course) -> list[dict[str, Any]]:
    """Return the charts: what is zero, the skill over all tasks, and the main metric of each task."""
    points = course.networks.points
    zero = [
        {"name": name, "colour": colour, "values": _values(points, quantity)}
        for quantity, (name, colour) in COUNTS.items()
    ]
    panels = [
        _panel("exactly zero [%]", "", 1, zero),
        _panel("skill over all tasks ↑", "", 3, [{"name": "", "colour": NEUTRAL, "values": _values(points, "skill")}]),
    ]
    for task, metric in course.tasks[:MOST_TASKS]:
        digits = 1 if metric.unit in ("%", "°") else 3
        values = _values(points, f"val.{task}.{metric.name}")
        arrow = "↑" if metric.better == "higher" else "↓"
        curve = {"name": "", "colour": course.styles[task].colour, "values": values}
        unit = "" if metric.unit in ("", "1") else metric.unit if metric.unit == "°" else f" {metric.unit}"
        panels.append(_panel(f"{task}: {metric.label} {arrow}", unit, digits, [curve]))
    return panels


def _panel(title: str, unit: str, digits: int, curves: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": title, "unit": unit, "digits": digits, "curves": curves}


def _values(points: pd.DataFrame, name: str) -> list[float | None]:
    """Return a column as numbers, None where there is none."""
    if name not in points:
        return [None] * len(points)
    finite = pd.to_numeric(points[name]).replace([float("inf"), float("-inf")], float("nan"))
    return [None if pd.isna(value) else float(value) for value in finite]


def _axis(course: Course) -> dict[str, Any]:
    points = course.networks.points
    sparse = points[points["level_of"] != ""]["level"]
    log = not course.spec.targets
    ends = {"low": float(sparse.min()), "high": float(sparse.max())} if len(sparse) else {"low": 1.0, "high": 1.0}
    return {**ends, "first": FIRST, "log": log, "unit": " λ_max" if log else " %"}
