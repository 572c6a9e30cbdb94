"""A report of some runs and a study: one HTML file, and a zip beside it.

What stands in the chapter of a run or study, in which order and under which captions, its report.json says
(dashboard.frames.chosen). What that leaves out is named at the end of the report.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import plotly.graph_objects as go

from winnow.dashboard.frames import explanations, studies
from winnow.dashboard.frames.chosen import NAME, Pin, ReportChoice, pinned, report_choice
from winnow.dashboard.report import bundle, citations, of_explanation, of_images, of_run, of_study
from winnow.dashboard.report.page import html_page
from winnow.dashboard.report.parts import Chapter, Figure, ReportMaps, ReportSection, ReportTable, Shown
from winnow.dashboard.shared.formatting import isolated, moment
from winnow.dashboard.shared.panel import Chart
from winnow.engine.runs.launch import is_recorded
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import StudySpec, TailorSpec
from winnow.engine.studies.reporting_tables import paper_table

OWN_LOOP = "This run was recorded in a loop of the user's own. Only that loop repeats it."
BOUNDS = "bounds"  # the section that is last, unless the user says otherwise
QUESTION = "Pinned"
MAPS = {"layers": list, "counts": list, "titles": list, "palettes": list, "labels": list, "levels": list, "noun": str}


@dataclass(frozen=True)
class ReportFiles:
    """The two files of a report."""

    html: bytes
    zip: bytes


def report(runs: Sequence[Run], study: Study | None = None) -> ReportFiles:
    """Return the report of some runs, each with a chapter of its own, compared where they are several; and of a study.

    Raises:
        SpecError: the spec of one can't be read.
        ValueError: nothing was named, a run was named twice, a report.json is wrong, or the file would be too large.

    """
    names = [run.id for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"`RUN` must name each run once, got {', '.join(names)}.")
    chapters = [chapter_of(run) for run in runs]
    if len(runs) > 1:
        chapters.insert(0, Chapter("runs", f"{len(runs)} runs", [of_study.runs_compared(runs)]))
    if study is not None:
        chapters.append(chapter_of(study))
    if not chapters:
        raise ValueError("`RUN` must name a run, or `--study` a study, got none.")
    title = chapters[0].title
    return ReportFiles(html_page(title, chapters), bundle.bundle(chapters))


def chapter_of(work: Run | Study, usual: bool = False) -> Chapter:
    """Return the chapter of a run or study, as its report.json says; `usual`: whole and in the usual order."""
    whole = _of_run(work) if isinstance(work, Run) else _of_study(work)
    pins = [pinned_section(pin) for pin in pinned(work).values()]
    *first, last = whole.sections
    whole = replace(whole, sections=[*first, *pins, last])
    return whole if usual else arranged(whole, report_choice(work))


def arranged(whole: Chapter, choice: ReportChoice) -> Chapter:
    """Return a chapter with the sections, figures and captions that were chosen, and what is left out.

    Raises:
        ValueError: a section is chosen that this report does not have.

    """
    known = {section.key: section for section in whole.sections}
    wanted = list(known) if choice.sections is None else list(choice.sections)
    if unknown := [key for key in wanted if key not in known]:
        raise ValueError(f"`sections` of {NAME} must be among {', '.join(known)}, got {unknown[0]!r:.60}.")
    sections = [_captioned(known[key], choice) for key in wanted]
    left = [section.question for key, section in known.items() if key not in wanted]
    left += [shown.key for key in wanted for shown in known[key].shown if shown.key in choice.hidden]
    if not sections:
        raise ValueError(f"`sections` of {NAME} must name at least one section of {', '.join(known)}, got none.")
    return replace(whole, sections=sections, left_out=left)


def _captioned(section: ReportSection, choice: ReportChoice) -> ReportSection:
    kept = [shown for shown in section.shown if shown.key not in choice.hidden]
    return replace(section, shown=[replace(one, reading=choice.captions.get(one.key, one.reading)) for one in kept])


def _of_run(run: Run) -> Chapter:
    work = of_explanation.explanation_of(run)
    bounds = [*of_run.not_claimed_of_run(run), *of_explanation.not_claimed_of_explanation(run)]
    explained = of_explanation.explanation_sections(run)
    sections = [
        of_run.wanted(run),
        of_run.sparse(run),
        of_run.priced(run),
        *explained,
        of_images.paid(run),
        ReportSection("What we do not claim", bounds[0], notes=bounds[1:], key=BOUNDS),
    ]
    replay = OWN_LOOP if is_recorded(run) else f"winnow train --replay {run.id}"
    files = bundle.identity_files(run, replay)
    files |= bundle.table_files(of_run.worded(of_run.main_table(run)))
    cited = citations.cited(run, explanations.explanation_spec(work) if work is not None else None)
    return Chapter(run.id, f"{isolated(run.spec.name)} ({run.id})", sections, files, cited)


def _of_study(study: Study) -> Chapter:
    spec = study.spec
    files = bundle.identity_files(study, f"winnow {spec.kind} --show {study.id}")
    if isinstance(spec, StudySpec) and studies.begun(study):
        summary = studies.study_table(study, "summary")
        files |= bundle.table_files(paper_table(summary, spec.base.fields, spec.definition, spec.judged_on))
    tailored = citations.TAILORING if isinstance(spec, TailorSpec) else ()
    cited = frozenset({*citations.ALWAYS, *citations.STUDY, *tailored})
    return Chapter(study.id, f"{isolated(spec.name)} ({study.id})", of_study.studied(study), files, cited)


def pinned_section(pin: Pin) -> ReportSection:
    """Return the section of a pinned figure.

    Raises:
        ValueError: what was stored is no such figure.

    """
    facts = [pin.source, f"pinned {moment(pin.at)}"]
    return ReportSection(QUESTION, pin.claim or pin.key, facts, None, [pinned_figure(pin)], key=pin.id)


def pinned_figure(pin: Pin) -> Shown:
    """Return what a pin shows; raise as `pinned_section`."""
    try:
        frame = pd.read_csv(io.StringIO(pin.csv)) if pin.csv.strip() else pd.DataFrame()
    except ValueError as error:
        raise _no_figure(pin, "a table", error) from None
    if pin.kind == "table":
        return ReportTable(pin.id, frame, pin.reading)
    if pin.kind == "maps":
        return ReportMaps(pin.id, frame, pin.reading, _checked_maps(pin))
    try:
        figure = go.Figure(dict(pin.shown))
    except (ValueError, TypeError) as error:
        raise _no_figure(pin, "a figure", error) from None
    return Figure(pin.id, Chart(figure, frame), pin.reading)


def _no_figure(pin: Pin, kind: str, error: Exception) -> ValueError:
    said = " ".join(str(error).split())
    return ValueError(f"`{pin.id}` must be {kind}. Remove it on the Report page. {said:.100}")


def _checked_maps(pin: Pin) -> dict[str, object]:
    found = dict(pin.shown)
    wrong = [name for name, kind in MAPS.items() if not isinstance(found.get(name), kind)]
    numbers = all(isinstance(found.get(name), int | float) for name in ("first", "low", "high"))
    known = not wrong and all(name in ("norm", "difference") for name in found["palettes"])
    if not known or not numbers or not len(found["titles"]) == len(found["palettes"]) == len(found["levels"]):
        raise ValueError(f"`{pin.id}` must be maps of layers and channels. Remove it on the Report page.")
    return found
