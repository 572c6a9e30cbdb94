"""The zip beside a report: the numbers of every figure and table, and what repeats, checks and cites the runs."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import pandas as pd

from winnow.dashboard.frames.chosen import NAME
from winnow.dashboard.frames.csv_export import csv
from winnow.dashboard.report.citations import bibtex
from winnow.dashboard.report.parts import Chapter, ReportTable, cell_text, file_name
from winnow.engine.runs.digests import NOTED, digest, manifests
from winnow.engine.runs.reading import read_object
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.studies.reporting_tables import latex, markdown

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file, so that one report has one content


def bundle(chapters: Sequence[Chapter]) -> bytes:
    """Return the zip: a folder per chapter, with a CSV per figure and table, and the references of all."""
    files: dict[str, bytes] = {"references.bib": bibtex(key for one in chapters for key in one.cited).encode()}
    for chapter in chapters:
        folder = file_name(chapter.key)
        for shown in (shown for section in chapter.sections for shown in section.shown):
            name = _free(files, f"{folder}/{file_name(shown.key)}")
            files[name] = csv(shown.frame)
            if isinstance(shown, ReportTable):
                files |= table_files(shown.frame, name.removesuffix(".csv"))
        files |= {f"{folder}/{name}": content for name, content in chapter.files.items()}
    return _zip(files)


def identity_files(work: Run | Study, replay: str) -> dict[str, bytes]:
    """Return what identifies a run or study: its spec, the digests of its files, the command that repeats it."""
    spec, noted = work.path / "spec.json", work.path / NOTED
    known: dict[str, object] = {"spec.json": digest(spec.read_bytes())}
    known |= read_object(noted) if noted.is_file() else {}
    known |= {f"weights/{file.name}": read_object(file) for file in manifests(work.path / "weights")}
    choice = work.path / NAME
    return {
        **({NAME: choice.read_bytes()} if choice.is_file() else {}),
        "spec.json": spec.read_bytes(),
        "digests.json": json.dumps(known, indent=1).encode(),
        "replay.txt": f"{replay}\n".encode(),
    }


def table_files(frame: pd.DataFrame, stem: str = "table") -> dict[str, bytes]:
    """Return a table as LaTeX and Markdown; the main table is called `table`."""
    shown = frame.map(cell_text)
    return {f"{stem}.tex": latex(shown).encode(), f"{stem}.md": markdown(shown).encode()}


def _free(files: Mapping[str, bytes], stem: str) -> str:
    """Return a name that no file has yet: names of two tasks may have the same letters."""
    names = (f"{stem}{end}.csv" for end in ["", *(f"-{number}" for number in range(2, len(files) + 3))])
    return next(name for name in names if name not in files)


def _zip(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
