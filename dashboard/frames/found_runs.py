"""Which runs the table lists: those that a search finds, the members of a study as one row that opens.

`studies` has one row per study: id, name, runs (of those that are found), running, members (their ids).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.summaries import Summary
from winnow.engine.runs.study import Study, list_studies
from winnow.engine.runs.work_folder import LIVE
from winnow.engine.specs.frozen import SpecError


@dataclass(frozen=True)
class Wanted:
    """What is looked for: words (each must be somewhere in name, id, tags, note, state, data set), and marks."""

    words: str = ""
    starred: bool = False
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def matching_runs(known: Sequence[Summary], wanted: Wanted) -> list[Summary]:
    """Return the runs that are looked for, in their order."""
    words = wanted.words.casefold().split()
    return [one for one in known if _fits(one, wanted) and all(word in _said(one) for word in words)]


def all_tags(known: Sequence[Summary]) -> list[str]:
    """Return all tags, in order."""
    return sorted({tag for one in known for tag in one.labels.tags})


def member_of() -> dict[str, str]:
    """Return {id of a run: id of the study that made it}; a run that a study found there is nobody's."""
    owners: dict[str, str] = {}
    for study in list_studies():
        for run in _members(study):
            owners.setdefault(run, study.id)
    return owners


def grouped(known: Sequence[Summary], owners: Mapping[str, str]) -> tuple[list[Summary], pd.DataFrame]:
    """Return the runs that stand alone, and the studies of the others, newest first."""
    alone = [one for one in known if one.id not in owners]
    members: dict[str, list[Summary]] = {}
    for one in known:
        if one.id in owners:
            members.setdefault(owners[one.id], []).append(one)
    rows = [
        {
            "id": study,
            "name": _name(study),
            "runs": len(own),
            "running": sum(one.status.state in LIVE for one in own),
            "members": [one.id for one in own],
        }
        for study, own in members.items()
    ]
    return alone, pd.DataFrame(rows, columns=["id", "name", "runs", "running", "members"])


def _fits(one: Summary, wanted: Wanted) -> bool:
    return (
        (one.labels.star or not wanted.starred)
        and (not wanted.states or one.status.state in wanted.states)
        and set(wanted.tags) <= set(one.labels.tags)
    )


def _said(one: Summary) -> str:
    data = str(one.spec.data.model_dump().get("dataset", "")) if one.spec else ""
    tasks = " ".join(one.spec.tasks) if one.spec else ""
    return " ".join([one.name, one.id, *one.labels.tags, one.labels.note, one.status.state, data, tasks]).casefold()


def _name(study: str) -> str:
    named = {work.id: work for work in list_studies()}
    try:
        return named[study].spec.name if study in named else study
    except (OSError, SpecError, ValueError):
        return study


def _members(study: Study) -> tuple[str, ...]:
    return _read(study.path, version(study.path / "tables" / "members.parquet"))


@latest(256)
def _read(path: Path, _written: Version) -> tuple[str, ...]:
    try:
        known = Study(path).members()
    except (OSError, ValueError, KeyError):
        return ()
    own = known[~known["reused"].astype(bool)] if "reused" in known else known
    return tuple(str(run) for run in own["run"] if run)
