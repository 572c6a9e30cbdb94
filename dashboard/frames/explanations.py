"""The explanations of a run (engine.jobs.explain_job), and their tables, read again only when they are replaced.

A table that is not there yet is an empty frame with its columns: an explanation is looked at while it is being made.
The columns are those that the engine documents; here are the ones that the pages need.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.engine.explain import separation
from winnow.engine.explain.checks import badges
from winnow.engine.explain.circuits import tables as circuits
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.frozen import SpecError

COLUMNS = {
    "relevance": ("method", "task", "layer", "channel", "relevance", "low", "high", "alive"),
    "usage": ("layer", "channel", "entropy", "total", "label", "used_by"),
    "layers": ("layer", "depth", "label", "channels", "part", "total"),
    "overlaps": ("layer", "tasks", "size", "channels"),
    "heads": ("task", "layer", "channel", "norm", "zero"),
    "affinity": ("layer", "task", "other", "cosine", "conflict_rate", "transfer"),
    "ablation": (
        "step", "layer", "channel", "group", "task", "fill", "images", "loss", "loss_change", "effect", "metric",
        "value", "value_change",
    ),
    "deletion": ("layer", "task", "order", "draw", "fraction", "channels", "loss", "loss_change", "effect"),
    "faithfulness": tuple(badges.COLUMNS),
    "circuits": (*circuits.CIRCUITS, "kept_90", "kept_95", "shared"),
    "circuit_figures": circuits.FIGURES,
    "circuit_overlaps": circuits.OVERLAPS,
    "separation": separation.COLUMNS,
}  # fmt: skip


def explanations(run: Run) -> list[DerivedJob]:
    """Return the explanations of a run whose spec can be read, newest first."""
    return [work for work in derived_jobs(run, "explain") if explanation_spec(work) is not None]


def best(works: Sequence[DerivedJob]) -> DerivedJob | None:
    """Return the explanation to show first: the newest of all layers that has tables, else the newest that has."""
    shown = [work for work in works if begun_explanations(work)]
    whole = [work for work in shown if not asked_of_explanation(work).layers]
    return next(iter([*whole, *shown, *works]), None)


def explanation_spec(work: DerivedJob) -> ExplainSpec | None:
    """Return what was asked of an explanation, None where its spec can't be read."""
    try:
        found = work.spec
    except (SpecError, ValueError, OSError):
        return None
    return found if isinstance(found, ExplainSpec) else None


def asked_of_explanation(work: DerivedJob) -> ExplainSpec:
    """Return what was asked of an explanation whose spec can be read."""
    found = explanation_spec(work)
    if found is None:
        raise SpecError(f"`{work.id}` must be an explanation with a readable spec, got none.")
    return found


def begun_explanations(work: DerivedJob) -> bool:
    """Return whether there is something to see of an explanation."""
    return any(table_version(work, "relevance"))


def explanation_table(work: DerivedJob, name: str) -> pd.DataFrame:
    """Return a table of an explanation, without rows where it is not there yet."""
    return stored(work, name, COLUMNS)


def table_version(work: DerivedJob, name: str) -> Version:
    """Return when a table was last replaced."""
    return stored_version(work, name)


def explanation_versions(work: DerivedJob) -> tuple[Version, ...]:
    """Return when each table was last replaced: the key of whatever is made of them."""
    return tuple(table_version(work, name) for name in COLUMNS)


def explained_layers(work: DerivedJob) -> tuple[Layer, ...]:
    """Return the layers that are explained, in the order of the network, each as wide as it has cells."""
    return _layers(work.path, table_version(work, "relevance"))


def explained_tasks(work: DerivedJob) -> list[str]:
    """Return the tasks that are explained, in the order of the run."""
    return [str(task) for task in explanation_table(work, "relevance")["task"].unique()]


def separations(work: DerivedJob, chosen: Cell) -> pd.DataFrame:
    """Return what a channel separates, the farthest from 0.5 first; `interval` in words, "" where it is not known.

    Where this explanation has not measured the channel, no rows.
    """
    known = explanation_table(work, "separation")
    own = known[(known["layer"] == chosen.layer) & (known["channel"] == chosen.channel)]
    own = own[own["auroc"].notna()]
    order = (own["auroc"] - 0.5).abs().sort_values(ascending=False, kind="stable").index
    own = own.loc[order].reset_index(drop=True)
    unit = [f"{value} {unit}".strip() for value, unit in zip(own["value"], own["unit"], strict=True)]
    said = [f"{low:.2f} to {high:.2f}" if low == low else "" for low, high in zip(own["low"], own["high"], strict=True)]
    return own.assign(value=unit, interval=said)


def methods(work: DerivedJob) -> list[str]:
    """Return the methods of which there is something to see; the first one made the labels."""
    return [str(method) for method in explanation_table(work, "relevance")["method"].unique()]


@latest(32)
def _layers(path: Path, _written: Version) -> tuple[Layer, ...]:
    known = explanation_table(DerivedJob(path), "relevance")
    widths = known.groupby("layer", sort=False)["channel"].max() + 1
    return tuple(Layer(str(name), int(width), 0) for name, width in widths.items())
