"""The tables that lie in a folder of work (a run, a derived job of one, a study), reread only when they are replaced.

A page is looked at while the work goes on: a table that is not there yet is an empty frame with its columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.engine.runs.reading import checked_table
from winnow.engine.runs.work_folder import WorkFolder


def stored(work: WorkFolder, name: str, columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the table `name`, without rows and with its `columns` where it is not there yet."""
    path = _path(work, name)
    written = version(path)
    return _read(path, written) if any(written) else pd.DataFrame(columns=list(columns[name]))


def stored_version(work: WorkFolder, name: str) -> Version:
    """Return when a table was last replaced: the key of whatever is made of it."""
    return version(_path(work, name))


def _path(work: WorkFolder, name: str) -> Path:
    return work.path / "tables" / f"{name}.parquet"


@latest(256)
def _read(path: Path, _written: Version) -> pd.DataFrame:
    return checked_table(path)
