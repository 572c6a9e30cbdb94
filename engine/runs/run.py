"""A training run's folder: all that the process that trains and the processes that read it share.

runs/<utc-time>-<slug>/      a folder of work (engine.runs.work_folder), and in it
groups/                      norms of every group, one row per epoch (engine.runs.norm_log)
weights/                     checkpoints in safetensors, each with a manifest; network.json
snapshots/                   networks kept during training (engine.runs.snapshots)
latency.json                 the layers' times that a target of latency is held by (engine.jobs.cost_prediction)
worked_with.json             what the worker started with: packages, digests of our source and of the data (provenance)
prune/, explain/, sensitivity/, export/    jobs on the result, each a folder of work itself (engine.runs.derived)
"""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pandas as pd

from winnow.engine.runs.control import Control
from winnow.engine.runs.events import current_events
from winnow.engine.runs.labels import labels_of
from winnow.engine.runs.making import make
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.received import RefusedFolderError
from winnow.engine.runs.work_folder import Status, WorkFolder, folders, refused
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.penalty import StrengthChange, TargetChange
from winnow.engine.specs.train import TrainSpec, parse


class Run(WorkFolder):
    """One training run and its folder: spec, status, events, tables."""

    @cached_property
    def spec(self) -> TrainSpec:
        """What was asked; raises `SpecError` where the file is not a spec that this version can read."""
        return parse(self.document())

    def groups(self, epoch: int | None = None) -> pd.DataFrame:
        """Return the groups at the end of an epoch, the newest by default: layer, channel, size, norm, alive."""
        return self.norms.frame(epoch)

    @property
    def norms(self) -> NormLog:
        """The norms of all groups over the epochs."""
        return NormLog(self.path / "groups")

    def replay(self) -> TrainSpec:
        """Return a spec that repeats this run, with the strengths and targets that were asked for while it ran."""
        events = current_events(self.events())
        made = events[events["split"] == "control"]
        strengths, targets = (made[made["quantity"] == name] for name in ("strength", "target"))
        stronger = [StrengthChange(step=step, strength=value) for step, value in _changes(strengths)]
        aimed = [TargetChange(step=step, target=value) for step, value in _changes(targets)]
        return self.spec.model_copy(
            update={
                "strength_changes": (*self.spec.strength_changes, *stronger),
                "target_changes": (*self.spec.target_changes, *aimed),
            }
        )

    def target_now(self) -> float | None:
        """Return the target [%] that the run aims at now, as the user last changed it; None where it has none."""
        changes = self.replay().target_changes
        return changes[-1].target if changes else self.spec.penalty.target

    def ask(self, **requests: object) -> Control:
        """Ask the live run to stop, pause, or take another strength or target; ValueError on one that cannot be met."""
        if requests.get("target") is not None and self.spec.penalty.target is None:
            raise ValueError(
                f"`target` must be changed only in a run that began with one, got {requests['target']} for {self.id}. "
                "Change its strength."
            )
        return super().ask(**requests)


def _changes(rows: pd.DataFrame) -> Iterator[tuple[int, float]]:
    """Yield step and value of each change."""
    for step, value in zip(rows["step"], rows["value"], strict=True):
        yield int(step), float(value)


def runs_folder() -> Path:
    """Return where runs live: WINNOW_RUNS, or runs/ in the working folder."""
    return Path(os.environ.get("WINNOW_RUNS", "runs")).resolve()


def create(spec: TrainSpec, root: Path | None = None) -> Run:
    """Make the folder of a new run, completely or not at all; return the run, queued."""
    root = (root or runs_folder()).absolute()  # the process may change its working folder
    return Run(make(root, spec.name, spec, Status(epochs=spec.epochs)))


def find(name: str, root: Path | None = None) -> Run:
    """Return the run called `name`: its id, or a spec's name (the newest of that name).

    Raises:
        FileNotFoundError: no such run below the root. A name is never a path: what lies outside is not found.

    """
    known = list_runs(root)
    matching = [run for run in known if run.id == name] or [run for run in known if _spec_name(run) == name]
    if not matching:
        where = root or runs_folder()
        if why := refused(where).get(name):
            raise RefusedFolderError(f"`run` must hold plain files and folders only, got {name}: {why}.")
        raise FileNotFoundError(
            f"`run` must be the id or name of a run in {where}, got {name!r}. See the list: winnow runs list"
        )
    return matching[0]


def run_below(root: Path, name: str) -> Run:
    """Return the run of this name below `root`, as another folder names it.

    Raises:
        FileNotFoundError: there is none, or it holds links. A name is never a path.

    """
    if name != Path(name).name or name in ("", "..") or name.startswith(".") or "\0" in name:
        raise FileNotFoundError(f"`run` must be the name of a folder in {root}, got {name!r:.80}.")
    return Run.open(root / name)


def list_runs(root: Path | None = None) -> list[Run]:
    """Return all runs in a folder, newest first; links are left out."""
    return [Run(folder) for folder in folders(root or runs_folder(), ("train",))]


def _spec_name(run: Run) -> str | None:
    try:
        return labels_of(run.path).name or run.spec.name
    except (SpecError, ValueError):
        return None
