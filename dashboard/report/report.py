"""A report of some runs and a study: one HTML file, and a zip beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from winnow.dashboard.frames import explanations, studies
from winnow.dashboard.report import bundle, citations, of_explanation, of_run, of_study
from winnow.dashboard.report.page import html_page
from winnow.dashboard.report.parts import Chapter, ReportSection
from winnow.engine.runs.launch import is_recorded
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import StudySpec
from winnow.engine.studies.reporting_tables import paper_table

OWN_LOOP = "This run was recorded in a loop of the user's own. Only that loop repeats it."


@dataclass(frozen=True)
class ReportFiles:
    """The two files of a report."""

    html: bytes
    zip: bytes


def report(runs: Sequence[Run], study: Study | None = None) -> ReportFiles:
    """Return the report of some runs, each with a chapter of its own, compared where they are several; and of a study.

    Raises:
        SpecError: the spec of one can't be read.
        ValueError: nothing was named, or the file would be too large.

    """
    chapters = [_of_run(run) for run in runs]
    if len(runs) > 1:
        chapters.insert(0, Chapter("runs", f"{len(runs)} runs", [of_study.runs_compared(runs)]))
    if study is not None:
        chapters.append(_of_study(study))
    if not chapters:
        raise ValueError("`RUN` must name a run, or `--study` a study, got none.")
    title = chapters[0].title
    return ReportFiles(html_page(title, chapters), bundle.bundle(chapters))


def _of_run(run: Run) -> Chapter:
    work = of_explanation.explanation_of(run)
    bounds = [*of_run.not_claimed_of_run(run), *of_explanation.not_claimed_of_explanation(run)]
    sections = [
        of_run.wanted(run),
        of_run.sparse(run),
        of_run.priced(run),
        *of_explanation.explanation_sections(run),
        ReportSection("What we do not claim", bounds[0], notes=bounds[1:]),
    ]
    replay = OWN_LOOP if is_recorded(run) else f"winnow train --replay {run.id}"
    files = bundle.identity_files(run, replay)
    files |= bundle.table_files(of_run.worded(of_run.main_table(run)))
    cited = citations.cited(run, explanations.spec(work) if work is not None else None)
    return Chapter(run.id, f"{run.spec.name} ({run.id})", sections, files, cited)


def _of_study(study: Study) -> Chapter:
    spec = study.spec
    files = bundle.identity_files(study, f"winnow {spec.kind} --show {study.id}")
    if isinstance(spec, StudySpec):
        files |= bundle.table_files(paper_table(studies.table(study, "summary"), spec.definition, "test"))
    cited = frozenset({*citations.ALWAYS, *citations.STUDY})
    return Chapter(study.id, f"{spec.name} ({study.id})", of_study.studied(study), files, cited)
