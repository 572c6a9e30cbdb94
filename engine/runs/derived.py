"""What is done with a run's result: pruned, explained, analysed, exported, timed. Each has a folder inside the run's.

    runs/<id>/prune/<utc-time>-<slug>/      spec.json of kind prune, tables, model/: the smaller model and its card
    runs/<id>/explain/<utc-time>-<slug>/    spec.json of kind explain, tables, pictures
    runs/<id>/sensitivity/<utc-time>-<slug>/    spec.json of kind sensitivity, tables
    runs/<id>/export/<utc-time>-<slug>/     spec.json of kind export, files/: what was asked for
    runs/<id>/bench/<utc-time>-<slug>/      spec.json of kind bench, tables

They never change the run itself, and removing one undoes it. A run may have many of each; pages show the newest one
that is done.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from winnow.engine.runs.look import KIND as LOOK
from winnow.engine.runs.look import Look
from winnow.engine.runs.making import make
from winnow.engine.runs.received import require_plain
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import KINDS as STUDIES
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import Status, WorkFolder, folders, kind_of
from winnow.engine.specs.frozen import DerivedSpec, SpecError, first_line
from winnow.engine.specs.jobs import JOBS
from winnow.engine.specs.registry import entry

KINDS = tuple(kind for kind, job in JOBS.items() if job.derived)


class DerivedJob(WorkFolder):
    """One pruning, explanation, sensitivity analysis, export or bench of a run."""

    @cached_property
    def spec(self) -> DerivedSpec:
        """What was asked; raises `SpecError` where the file is not a spec that this version can read."""
        return read(self.document())

    @property
    def run(self) -> Run:
        """The run that the job works on."""
        return Run(self.path.parents[1])

    @property
    def kind(self) -> str:
        """prune, explain, sensitivity, export or bench: the name of the folder that it lies in."""
        return self.path.parent.name


Work = Run | DerivedJob | Study | Look
"""A folder of work that a worker may be started on."""


def read(values: Mapping[str, object]) -> DerivedSpec:
    """Return the spec that a dictionary describes; raise `SpecError` with one line otherwise."""
    known = {kind: job.spec for kind, job in JOBS.items() if issubclass(job.spec, DerivedSpec)}
    try:
        spec = entry(known, values.get("kind"), "kind").model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
    except ValueError as error:
        raise SpecError(str(error)) from error
    return spec


def derived_job(run: Run, spec: DerivedSpec, stem: str = "") -> DerivedJob:
    """Make the folder of a new derived job of `run`, whole or not at all, and return it queued."""
    return DerivedJob(make(run.path / spec.kind, stem or spec.kind, spec, Status()))


def derived_jobs(run: Run, kind: str) -> list[DerivedJob]:
    """Return the run's derived jobs of a kind, newest first."""
    return [DerivedJob(folder) for folder in folders(run.path / kind)]


def newest_job(run: Run, kind: str) -> DerivedJob | None:
    """Return the newest derived job of a kind that is done, None where there is none."""
    return next((found for found in derived_jobs(run, kind) if found.recorded_status().state == "done"), None)


def find_derived_job(run: Run, kind: str, name: str) -> DerivedJob:
    """Return the derived job with this id.

    Raises:
        FileNotFoundError: the run has no such job. A name is never a path.

    """
    known = {found.id: found for found in derived_jobs(run, kind)}
    if name not in known:
        raise FileNotFoundError(f"`{kind}` must be one of those of {run.id}, {sorted(known)}, got {name!r}.")
    return known[name]


def open_work(path: str | Path) -> Work:
    """Return the folder of work at `path`: a run, a derived job of one, a study, or a look at a data set.

    Raises:
        FileNotFoundError: there is none.
        ValueError: its kind is none of `engine.specs.jobs.JOBS`.

    """
    found = WorkFolder.open(path)
    kind = kind_of(found.path)
    if entry(JOBS, kind, "kind").derived:
        require_plain(found.path.parents[1])  # the job reads its run
        return DerivedJob(found.path)
    if kind == LOOK:
        return Look(found.path)
    return Study(found.path) if kind in STUDIES else Run(found.path)
