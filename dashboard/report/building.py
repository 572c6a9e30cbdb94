"""A report made as a job: a process of its own, so that no page waits; what became of it is in a file.

    report/report.html, report.zip   the two files, complete or absent
    report/build.json                {format, state, message, pid, created, at, asked, inputs, outline}

They lie in the folder of the run or study whose report it is. `inputs` says from what it was made: once that changed,
the report is of an earlier state, and the page says so. `outline` lists all sections with their claims and figures.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from winnow.dashboard.frames.chosen import FOLDER, NAME
from winnow.dashboard.frames.file_versions import version
from winnow.engine.runs import launch
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import DamagedFileError, read_object
from winnow.engine.runs.run import Run, runs_folder
from winnow.engine.runs.study import Study

State = Literal["none", "building", "done", "failed", "lost"]
MADE_BY = "winnow.dashboard.report"
BUILD, HTML, ZIP = "build.json", "report.html", "report.zip"
FORMAT = 1
STARTING = 60.0  # s: what a process may take to say that it has begun
Outline = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Build:
    """What became of the report of a run or study: how far it is, when, of what, and all its sections."""

    state: State = "none"
    message: str = ""
    at: float = 0.0  # seconds since 1970
    asked: tuple[str, ...] = ()  # ids: the runs, then the study
    inputs: str = ""
    outline: Outline = ()
    pid: int = 0
    created: float = 0.0
    format: int = field(default=FORMAT)


def build_of(work: Run | Study) -> Build:
    """Return what became of a report; `lost` where its process ended without a word, `none` where nothing is known."""
    try:
        said = read_object(work.path / FOLDER / BUILD)
        known = Build(**{**said, "asked": tuple(said["asked"]), "outline": tuple(said["outline"])})
    except (OSError, DamagedFileError, TypeError, KeyError):
        return Build()
    if known.state == "building" and not _lives(known):
        return Build("lost", "The process that made the report ended without an error message.", known.at, known.asked)
    whole = known.state != "done" or (work.path / FOLDER / HTML).is_file()
    return known if whole and known.format == FORMAT else Build()


def current(work: Run | Study, known: Build, works: Sequence[Run | Study]) -> bool:
    """Return whether a report is of what is there now, and of these runs and studies."""
    return known.state == "done" and known.asked == tuple(one.id for one in works) and known.inputs == inputs(works)


def inputs(works: Sequence[Run | Study]) -> str:
    """Return a digest of the versions of all that decides what a report says."""
    files = [file for work in works for file in _deciding(work.path)]
    said = [(file.as_posix(), *version(file)) for file in files]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def start_build(work: Run | Study, works: Sequence[Run | Study]) -> None:
    """Start the process that makes the report of `works`, into the folder of `work`.

    Raises:
        OSError: the folder can't be written, or no process can be started.

    """
    folder = work.path / FOLDER
    folder.mkdir(exist_ok=True)
    tell(folder, Build("building", at=time.time(), asked=tuple(one.id for one in works)))
    runs = [one.id for one in works if isinstance(one, Run)]
    study = [name for one in works if isinstance(one, Study) for name in ("--study", one.id)]
    subprocess.Popen(
        [sys.executable, "-P", "-m", MADE_BY, *runs, *study, "--into", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **launch.safe_path(), "WINNOW_RUNS": str(runs_folder())},
    )


def tell(folder: Path, known: Build) -> None:
    """Write what became of a report."""
    replace_json(folder / BUILD, asdict(known))


def _deciding(folder: Path) -> list[Path]:
    jobs = [folder / kind for kind in ("prune", "explain")]
    own = [folder / name for name in ("spec.json", "status.json", NAME)]
    tables = [*folder.glob("tables/*.parquet"), *(file for job in jobs for file in job.glob("*/tables/*.parquet"))]
    return sorted([*own, *(file for job in jobs for file in job.glob("*/status.json")), *tables])


def _lives(known: Build) -> bool:
    """Return whether the process still works; before it has said its number, for as long as it may take to begin."""
    if not known.pid:
        return time.time() - known.at < STARTING
    try:
        process = psutil.Process(known.pid)
        same = bool(abs(process.create_time() - known.created) < 1.0)
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
