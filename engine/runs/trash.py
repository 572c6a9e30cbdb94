"""Runs and studies that were removed, kept until the trash is emptied: `.trash/` in the runs folder.

A folder is moved there as a whole, and back under its own name. Nothing is removed that works or is about to.
"""

import shutil
from pathlib import Path

from filelock import Timeout

from winnow.engine.runs.derived import KINDS, DerivedJob
from winnow.engine.runs.labels import labels_of
from winnow.engine.runs.received import RefusedFolderError
from winnow.engine.runs.run import Run, runs_folder
from winnow.engine.runs.study import KINDS as STUDIES
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import LIVE, WorkFolder, folders, kind_of, refused

TRASH = ".trash"


class BusyError(ValueError):
    """What is to be removed works, or something works on it."""


def run_or_study(name: str, root: Path | None = None) -> Run | Study:
    """Return the one run or study of this id or name.

    Raises:
        FileNotFoundError: there is none.
        ValueError: several have this name; the message lists their ids.

    """
    where = root or runs_folder()
    own = folders(where, ("train", *STUDIES))  # a look at a data set is neither
    known: list[Run | Study] = [Run(one) if kind_of(one) == "train" else Study(one) for one in own]
    found = [work for work in known if work.id == name] or [work for work in known if _called(work) == name]
    if not found:
        if why := refused(where).get(name):
            raise RefusedFolderError(f"`run` must hold plain files and folders only, got {name}: {why}.")
        raise FileNotFoundError(f"`run` must be the id or name of a run in {where}, got {name!r}.")
    if len(found) > 1:
        ids = ", ".join(work.id for work in found)
        raise ValueError(f"`run` must name one run, got {name!r}, which {len(found)} are called: {ids}. Give an id.")
    return found[0]


def discard(work: WorkFolder) -> Path:
    """Move a run or a study, with all in it, to the trash; return where it is now.

    Raises:
        BusyError: it works or is about to start, or a job on its result does.
        OSError: the folder may not be changed here.

    """
    for own in (work, *(DerivedJob(job) for kind in KINDS for job in folders(work.path / kind))):
        status = own.status
        if status.state in LIVE and (status.state == "running" or status.requested is not None):
            raise BusyError(f"`run` must have ended, and all jobs on it, got {own.id}: {status.state}. Stop it first.")
    place = work.path.parent / TRASH
    place.mkdir(exist_ok=True)
    lock = work.lock()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"`run` must have ended, got {work.id}, which has a worker. Stop it first.") from None
    try:
        return work.path.rename(_free(place / work.id))
    finally:
        lock.release()


def discarded(root: Path | None = None) -> list[str]:
    """Return the names in the trash, newest first."""
    return [folder.name for folder in folders((root or runs_folder()) / TRASH)]


def take_back(name: str, root: Path | None = None) -> Path:
    """Move a run or a study back from the trash; return where it is now.

    Raises:
        FileNotFoundError: the trash holds none of this name.

    """
    where = root or runs_folder()
    if name not in (known := discarded(where)):
        raise FileNotFoundError(
            f"`run` must be in the trash, got {name!r}. In the trash: {', '.join(known) or 'nothing'}."
        )
    return (where / TRASH / name).rename(_free(where / name))


def empty_trash(root: Path | None = None) -> int:
    """Remove what is in the trash for good; return how many runs and studies it was."""
    place = (root or runs_folder()) / TRASH
    count = len(discarded(root))
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    return count


def _free(place: Path) -> Path:
    """Return this place, or with a number where something lies there."""
    number, free = 2, place
    while free.exists():
        free, number = place.with_name(f"{place.name}-{number}"), number + 1
    return free


def _called(work: Run | Study) -> object:
    try:
        return labels_of(work.path).name or work.document().get("name")
    except (OSError, ValueError):
        return None
