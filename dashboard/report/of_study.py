"""What a report says of a study or a path, and of several runs together."""

from collections.abc import Sequence

from winnow.dashboard.figures import paired_differences, path_curve
from winnow.dashboard.frames import differences, pairs, paths, studies, tables
from winnow.dashboard.frames.answers import of_runs, of_study
from winnow.dashboard.frames.summaries import image_sets, summary
from winnow.dashboard.report.parts import Figure, ReportSection, ReportTable, Shown
from winnow.dashboard.shared.formatting import isolated
from winnow.dashboard.shared.panel import Chart
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import PathSpec, StudySpec, TailorSpec
from winnow.engine.studies.reporting_tables import paper_table

PAPER = "Mean ± standard deviation over seeds; in the columns of Δ_m, mean and 95 % interval, paired by seed."


def runs_compared(runs: Sequence[Run]) -> ReportSection:
    """Say in what some runs differ; a metric is compared only where the runs were judged on the same images."""
    known = [summary(run) for run in runs]
    sets = list(dict.fromkeys(image_sets(known).values()))
    claim, images = of_runs.runs_answer(known).says, "validation images"
    if len(runs) == 2:
        metrics, images, differ = pairs.paired_metrics(runs[0], runs[1])
        claim = of_runs.compare_answer(known[0], known[1], metrics, pairs.paired_groups(runs[0], runs[1]), differ).says
    pair = zip("AB", known, strict=True) if len(runs) == 2 else ()
    notes = [f"{letter} is {isolated(one.name)} ({one.id})." for letter, one in pair]
    if len(sets) > 1:
        notes.append(f"They were not judged on the same images ({'; '.join(sets)}): their metrics cannot be compared.")
    shown = [ReportTable("compared", tables.compared_runs(known), "What differs between the runs, then their results.")]
    return ReportSection(
        "How do the runs compare?", claim, [f"n = {len(runs)} runs", images], None, shown, notes, key="compared"
    )


def studied(study: Study) -> list[ReportSection]:
    """Return what a study or a path found; before its first result, that there is none."""
    spec = study.spec
    if not studies.begun(study):
        missing = "No run of it has ended yet."
        return [
            ReportSection(
                "What was found?",
                missing,
                missing=missing,
                command=f"winnow {spec.kind} --resume {study.id}",
                key="found",
            )
        ]
    return [_pathed(study, spec) if isinstance(spec, PathSpec) else _arms(study, spec), _bounds(study)]


def _facts(study: Study, split: str) -> list[str]:
    seeds = study.spec.seeds
    return [
        f"n = {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        studies.SPLIT_TITLES[split],
        f"{study.spec.kind} {study.id}",
    ]


def _pathed(study: Study, spec: PathSpec) -> ReportSection:
    points = paths.points(study)
    shown: list[Shown] = [
        Figure("path_curve", Chart(path_curve.path_curve(points), points), path_curve.READING),
        ReportTable("path_runs", studies.members(study), "The runs of the path, in the order of the plan."),
    ]
    claim = of_study.path_answer(points).says
    return ReportSection("What does sparsity buy?", claim, _facts(study, "val"), None, shown, key="found")


def _arms(study: Study, spec: StudySpec) -> ReportSection:
    which = differences.Which(spec.judged_on, "dense", spec.definition)
    summary, frame = studies.study_table(study, "summary"), differences.paired(study, which)
    shown: list[Shown] = [
        ReportTable("paper_table", paper_table(summary, spec.base.fields, spec.definition, spec.judged_on), PAPER),
        Figure(
            "paired_differences",
            Chart(paired_differences.paired_differences(frame), frame),
            paired_differences.READING,
        ),
        ReportTable("study_runs", studies.members(study), "The runs of the study, in the order of the plan."),
    ]
    claim = of_study.study_answer(
        summary, which, f"{spec.definition} metrics, {studies.SPLIT_TITLES[spec.judged_on]}"
    ).says
    if isinstance(spec, TailorSpec):
        advice, both = studies.study_table(study, "advice"), studies.tailored_and_plain(study, spec.judged_on)
        shown[:0] = [
            ReportTable("advice", advice, "The stage of the deepest layer that is alive in all sparse runs of a task."),
            ReportTable("tailored", both, "The tailored network and the plain one; differences are paired by seed."),
        ]
        claim = of_study.tailored_answer(advice, summary, which).says
    return ReportSection("Which arm is best?", claim, _facts(study, spec.judged_on), None, shown, key="found")


def _bounds(study: Study) -> ReportSection:
    seeds, state = len(study.spec.seeds), study.status.state
    said = [f"{seeds} seed{'s say' if seeds > 1 else ' says'} little about chance."] if seeds < 3 else []
    said += [f"The {study.spec.kind} is {state}: runs are missing."] if state != "done" else []
    said += ["The numbers hold for this data, this network and this number of epochs."]
    return ReportSection("What we do not claim", said[0], notes=said[1:], key="bounds")
