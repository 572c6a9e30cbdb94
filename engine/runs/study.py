"""Studies and paths: folders of work beside their runs, in the runs folder.

    runs/<utc-time>-<slug>/    spec.json of kind study or path (engine.specs.study), status, events, log, lock, control
    tables/members.parquet     its runs: see COLUMNS
    tables/…                   their results (engine.studies.tables)

The runs of a study are ordinary runs in the same folder, so that every page works on them. A study may use runs that
another one made; removing a study removes no run.
"""

from functools import cached_property
from pathlib import Path

import pandas as pd

from winnow.engine.runs.making import make
from winnow.engine.runs.run import Run, run_below, runs_folder
from winnow.engine.runs.work_folder import Status, WorkFolder, folders
from winnow.engine.specs.study import PathSpec, StudySpec, parse_many

KINDS = ("study", "path", "tailor")
COLUMNS = ("key", "arm", "subset", "balancing", "level_of", "level", "seed", "state", "run", "reused", "message")


class Study(WorkFolder):
    """One study or path."""

    @cached_property
    def spec(self) -> StudySpec | PathSpec:
        """What was asked; raises `SpecError` where the file is not a spec that this version can read."""
        return parse_many(self.document())

    @property
    def root(self) -> Path:
        """Where its runs are."""
        return self.path.parent

    def members(self) -> pd.DataFrame:
        """Return its runs: key, arm, subset of tasks, balancing, level, seed, state, run ("" before there is one).

        `state` is that of the run, or `waiting` (for other runs), or `skipped` (a run that it needs failed); `reused`
        says whether the run existed before. The frame is empty before the study has begun.
        """
        known = (self.path / "tables" / "members.parquet").is_file()
        return self.table("members") if known else pd.DataFrame(columns=pd.Index(COLUMNS))

    def run(self, key: str) -> Run:
        """Return the run of a member.

        Raises:
            FileNotFoundError: the study has no such member, or it has no run yet.

        """
        known = self.members().set_index("key")["run"]
        if not known.get(key):
            raise FileNotFoundError(f"`key` must be a member of {self.id} that has a run, got {key!r}.")
        return run_below(self.root, str(known[key]))


def create_study(spec: StudySpec | PathSpec, root: Path | None = None) -> Study:
    """Make the folder of a new study or path, completely or not at all; return it queued."""
    return Study(make(root or runs_folder(), spec.name, spec, Status()))


def list_studies(root: Path | None = None) -> list[Study]:
    """Return all studies and paths below the root, newest first."""
    return [Study(folder) for folder in folders(root or runs_folder(), KINDS)]


def find_study(name: str, root: Path | None = None) -> Study:
    """Return the study or path called `name`: its id, or a spec's name (the newest of that name).

    Raises:
        FileNotFoundError: no such study. A name is never a path.

    """
    known = list_studies(root)
    matching = [study for study in known if study.id == name] or [s for s in known if s.document()["name"] == name]
    if not matching:
        raise FileNotFoundError(f"`study` must be the id or name of one in {root or runs_folder()}, got {name!r}.")
    return matching[0]
