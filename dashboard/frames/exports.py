"""The files that leave: what each export of a pruning wrote.

| function | columns                                                                                                |
|----------|--------------------------------------------------------------------------------------------------------|
| `files`  | file, format, bytes, sha256, max_error: every file that lies in the export's `files/`, whatever its    |
|          | table says of it                                                                                       |
"""

import pandas as pd

from winnow.dashboard.frames.stored_tables import stored
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.run import Run
from winnow.engine.specs.frozen import SpecError

COLUMNS = ["file", "format", "bytes", "sha256", "max_error"]


def exports(run: Run, pruning: str) -> list[DerivedJob]:
    """Return the exports of one pruning, newest first; of the run itself where `pruning` is ""."""
    return [found for found in derived_jobs(run, "export") if _of(found) == pruning]


def files(export: DerivedJob) -> pd.DataFrame:
    """Return one row per file; links are left out, so that nothing outside the folder is offered."""
    folder = export.path / "files"
    lying = sorted(path for path in folder.glob("*") if path.is_file() and not path.is_symlink())
    said = stored(export, "files", {"files": COLUMNS}).reindex(columns=COLUMNS)
    known = said.drop_duplicates("file").set_index("file")
    rows = [[path.name, path.stat().st_size] for path in lying]
    found = pd.DataFrame(rows, columns=["file", "bytes"])
    return found.join(known[["format", "sha256", "max_error"]], on="file")[COLUMNS]


def _of(export: DerivedJob) -> str:
    try:
        return str(getattr(export.spec, "pruning", "?"))
    except (OSError, SpecError, ValueError):
        return "?"  # no id of a pruning
