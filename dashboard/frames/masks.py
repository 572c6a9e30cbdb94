"""Do tasks that are trained alone choose the same channels? Survivors of several runs, layer by layer.

`overlap` has the columns of engine.explain.checks.overlap. Runs can be compared that have the same layers, as wide as
one another.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.groups import norms
from winnow.dashboard.frames.summaries import summary
from winnow.engine.explain.checks.overlap import COLUMNS, survivor_overlap
from winnow.engine.runs.run import Run

MOST_RUNS = 6  # fifteen pairs: what a figure can show


def comparable(run: Run, others: Sequence[Run]) -> list[Run]:
    """Return the other runs with norms of a network of the same shape and groups of the same kind."""
    own, kind = norms(run).layers, _groups(run)
    return [
        other
        for other in others
        if other.id != run.id and own and _groups(other) == kind and norms(other).layers == own and len(norms(other).at)
    ]


def single(runs: Sequence[Run]) -> list[Run]:
    """Return the newest run of each task that was trained alone."""
    found: dict[str, Run] = {}
    for run in runs:
        spec = summary(run).spec
        if spec is not None and len(spec.tasks) == 1:
            found.setdefault(spec.tasks[0], run)
    return list(found.values())


def overlap(runs: Sequence[Run]) -> pd.DataFrame:
    """Return, for every layer and every two runs, how far the surviving channels are the same."""
    if len(runs) < 2:
        return pd.DataFrame(columns=COLUMNS)
    paths = tuple(run.path for run in runs)
    return _overlap(paths, tuple(version(path / "groups" / "norms.bin") for path in paths))


def mask_names(runs: Sequence[Run]) -> dict[str, Run]:
    """Return the runs by what they are called in the figure: tasks and name, and the id where that is not enough."""
    found: dict[str, Run] = {}
    for run in runs:
        spec = summary(run).spec
        short = f"{'+'.join(spec.tasks)} ({spec.name})" if spec else run.id
        found[run.id if short in found else short] = run
    return found


@latest(16)
def _overlap(paths: tuple[Path, ...], _versions: tuple[Version, ...]) -> pd.DataFrame:
    runs = [Run(path) for path in paths]
    return survivor_overlap({name: run.groups() for name, run in mask_names(runs).items()})


def _groups(run: Run) -> str | None:
    spec = summary(run).spec
    return spec.penalty.groups if spec else None
