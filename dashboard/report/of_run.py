"""What a report says of one run: what was asked, how sparse it is and where, at what price, and what is not claimed."""

from math import isfinite

import numpy as np
import pandas as pd

from winnow.dashboard.canvas.levels import Scale, levels, maps_of, text
from winnow.dashboard.figures import (
    latencies,
    layer_counts,
    losses_and_metrics,
    sparsities,
    strength_and_alive,
    what_is_left,
)
from winnow.dashboard.frames import before_after, before_after_text, channel_states, events, groups, pairs, studies
from winnow.dashboard.frames.answers import of_pruning
from winnow.dashboard.frames.answers import of_run as answers
from winnow.dashboard.frames.answers.answer import count
from winnow.dashboard.frames.cells import NOUNS
from winnow.dashboard.frames.certificate import certificate
from winnow.dashboard.frames.run_images import imageless
from winnow.dashboard.frames.summaries import Summary, summary, tasks
from winnow.dashboard.report.parts import Badge, Figure, ReportMaps, ReportSection, ReportTable, Shown
from winnow.dashboard.shared import run_figures
from winnow.dashboard.shared.formatting import asked_of, duration, elapsed, measured, state_word
from winnow.dashboard.shared.panel import Chart
from winnow.engine.explain.checks.badges import Colour
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.launch import is_recorded
from winnow.engine.runs.run import Run, list_runs
from winnow.engine.runs.study import list_studies
from winnow.engine.specs.penalty import PENALTIES
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.specs.train import TrainSpec

MOST_FRAMES, MOST_CELLS = 41, 600_000  # of a map that is replayed: epochs, and groups of all of them
REPLAYED = (
    "One row per layer, from the input at the top; one cell per group. Hatched: dead, exactly zero. Colour: norm of "
    "the living groups, log scale, the same in all epochs. Outlined: near the threshold. The slider replays the "
    "training."
)
NO_DENSE = "No dense run to compare with: this chapter does not say what sparsity itself costs a task."
ONE_SEED = "One seed: another seed gives other numbers, and this report does not say by how much."
UNJUDGED = "not judged on any image"
MAIN = "The main metric of every task after the newest epoch."
NO_MAIN = "No metric is known: the network was not judged on images with labels."
UNFINISHED = {"failed": "failed", "lost": "was lost", "stopped": "was stopped", "queued": "waits to start"}
STATES: dict[str, Colour] = {"done": "green", "failed": "red", "lost": "red"}


def main_table(run: Run) -> pd.DataFrame:
    """Return one row per task: its main metric on the validation images, and the best constant prediction's."""
    constants = events.constants(run)
    rows = [
        [task, metric.label, metric.unit, metric.better, value, constants.get((task, metric.name), np.nan)]
        for task, (metric, value) in summary(run).main_metrics().items()
    ]
    return pd.DataFrame(rows, columns=["task", "metric", "unit", "better", "value", "constant prediction"])


def worded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the main table as text: one value with its unit, and which direction is better."""
    arrows = ["↑" if better == "higher" else "↓" for better in frame["better"]]
    said = {
        name: [measured(value, unit) for value, unit in zip(frame[name], frame["unit"], strict=True)]
        for name in ("value", "constant prediction")
    }
    metrics = [f"{metric} {arrow}" for metric, arrow in zip(frame["metric"], arrows, strict=True)]
    return pd.DataFrame({"task": frame["task"], "metric": metrics, **said})


def judged(run: Run) -> str:
    """Say on how many images of which split a run was judged; on none where no metric is known."""
    if not any(isfinite(value) for (task, _), value in summary(run).newest.items() if task is not None):
        return UNJUDGED
    length = getattr(run.spec.data, "val_length", None)
    return f"n = {length} validation images" if length else "all validation images"


def wanted(run: Run) -> ReportSection:
    """Say what was asked of a run, and what its tasks reached."""
    spec, status, known = run.spec, run.status, summary(run)
    state = state_word(status)
    curves, strength, _ = run_figures.training_charts(run, 0.0)
    claim = answers.train_answer(
        known, events.constants(run), answers.RunCourse(events.epochs_done(run), run.target_now())
    )
    facts = [judged(run), f"{len(spec.tasks)} tasks on {spec.data.dataset}"]
    facts += [] if known.imported else [events.asked_of_run(run)]
    facts += (
        [] if is_recorded(run) or known.imported else [f"seed {spec.seed}"]
    )  # a loop of one's own has its own seeds
    notes = [_asked(known, spec)]
    notes += [f"It took {duration(elapsed(status))}."] if elapsed(status) and not known.imported else []
    notes += [f"It ended as {state}: {status.message}"] if status.message else []
    shown: list[Shown] = [
        ReportTable("metrics", worded(main_table(run)), MAIN if judged(run) != UNJUDGED else NO_MAIN),
    ]
    if not known.imported:
        shown += [
            Figure("losses_and_metrics", curves, losses_and_metrics.READING),
            Figure("strength_and_alive", strength, strength_and_alive.READING),
        ]
    badge = Badge(state, STATES.get(state, "amber"))
    return ReportSection("What was asked, and what came out?", claim.says, facts, badge, shown, notes, key="asked")


def _asked(known: Summary, spec: TrainSpec) -> str:
    if known.imported:
        return (
            f"Imported: {known.origin}. Nothing was trained, so nothing was penalised; groups: {spec.penalty.groups}."
        )
    penalised = f"{spec.penalty.penalty} penalises {PENALTIES[spec.penalty.penalty].penalises}"
    return f"{penalised}; groups: {spec.penalty.groups}; network: {spec.network.network}."


def sparse(run: Run) -> ReportSection:
    """Say how sparse a run is, and where."""
    question = "How sparse, and where?"
    norms = groups.norms(run)
    if not len(norms.values):
        return ReportSection(
            question,
            "No norm has been recorded yet.",
            missing="The groups are recorded after the first epoch.",
            command=f"winnow train --resume {run.id}",
            key="sparse",
        )
    known = channel_states.channels(run)
    counts, _ = run_figures.layers_now_charts(run)
    claim = answers.groups_answer(summary(run), channel_states.layers(run))
    facts = [f"n = {len(known):,} groups in {count(known['layer'].nunique(), 'layer')}"]
    facts.append("as imported" if summary(run).imported else f"after epoch {norms.at[-1]}")
    shown: list[Shown] = [
        ReportMaps("survival_map", known, REPLAYED, replayed(run)),
        Figure("layer_counts", counts, layer_counts.READING),
        Figure("sparsities", run_figures.training_charts(run, 0.0)[2], sparsities.READING),
    ]
    return ReportSection(question, claim.says, facts, None, shown, key="sparse")


def replayed(run: Run) -> dict[str, object]:
    """Return the survival map of a run at some of its epochs, as canvas/report.js draws it; the newest first seen."""
    norms = groups.norms(run)
    most = max(1, min(MOST_FRAMES, MOST_CELLS // max(1, norms.values.shape[1])))
    rows = np.unique(np.linspace(0, len(norms.at) - 1, min(most, len(norms.at))).round().astype(int))
    low, high = norms.extent
    frames = [channel_states.at_row(norms, row) for row in rows[:-1]]
    frames.append((norms.values[-1], channel_states.states(run) == channel_states.NEAR_PLACE))
    shades = [levels(values, near, Scale(low, high)) for values, near in frames]
    return {
        **maps_of(norms.layers, NOUNS[run.spec.penalty.groups], (low, high)),
        "labels": [f"after epoch {norms.at[row]}" for row in rows],
        "levels": [text(np.concatenate(shades))],
        "first": len(rows) - 1,
    }


def newest_pruning(run: Run) -> DerivedJob | None:
    """Return the newest pruning of a run that is done, None where there is none."""
    return next((work for work in derived_jobs(run, "prune") if work.status.state == "done"), None)


def priced(run: Run) -> ReportSection:
    """Say what was removed, and what a dense run of the same description reached; without a pruning, what could be."""
    question, known, dense = "At what price?", summary(run), dense_twin(run)
    work = newest_pruning(run)
    beside, notes = _beside(run, dense), [*_studied(run)]
    if work is None:
        claim = of_pruning.unpruned_answer(known).says
        missing = "Nothing has been removed from this run yet, so no price was measured."
        command = "" if imageless(run) else f"winnow prune {run.id}"
        return ReportSection(question, claim, [judged(run)], None, beside, notes, missing, command, key="price")
    spent, found = before_after.costs(work), certificate(work)
    titles = [before_after_text.title(row) for _, row in spent.iterrows()]
    exact = Badge("exact", "green") if found and found.holds else Badge("not exact", "red")
    shown: list[Shown] = [
        ReportTable(
            "before_after",
            before_after_text.before_after(work, tasks(run.spec)),
            "Dense: the network of the run as it is.",
        ),
        Figure("what_is_left", Chart(what_is_left.what_is_left(spent, titles), spent), what_is_left.READING),
        Figure("latencies", Chart(latencies.latencies_figure(spent, titles), spent), latencies.READING),
        *beside,
    ]
    facts = [judged(run), *([asked_of(work.spec)] if isinstance(work.spec, PruneSpec) else []), f"pruning {work.id}"]
    badge = exact if found else Badge("not checked", "grey")
    claim = of_pruning.pruned_answer(spent, before_after.task_change_frame(work, tasks(run.spec)), found).says
    return ReportSection(question, claim, facts, badge, shown, notes, key="price")


def dense_twin(run: Run) -> Run | None:
    """Return the newest finished run that differs only in having no penalty, None where there is none."""
    if run.spec.penalty.target is None and run.spec.penalty.strength == 0:
        return None
    others = (other for other in list_runs() if other.id != run.id and summary(other).status.state == "done")
    return next((other for other in others if _is_dense_twin(run.spec, summary(other).spec)), None)


def _is_dense_twin(spec: TrainSpec, other: TrainSpec | None) -> bool:
    if other is None or other.penalty.target is not None or other.penalty.strength != 0 or other.strength_changes:
        return False
    left = {"name", "penalty", "strength_changes", "start"}
    return spec.model_dump(mode="json", exclude=left) == other.model_dump(mode="json", exclude=left)


def _beside(run: Run, dense: Run | None) -> list[Shown]:
    """Return the metrics of a dense run and of this one, where there is a dense one judged on the same images."""
    if dense is None:
        return []
    frame, split, differ = pairs.paired_metrics(dense, run)
    if differ or frame.empty:
        return []
    shown = frame.drop(columns="metric").rename(columns={"a": "dense", "b": "sparse", "gain": "gain [%]"})
    return [
        ReportTable("against_dense", shown, f"Dense: {dense.id}, the same except for the penalty; {split}. One seed.")
    ]


def _studied(run: Run) -> list[str]:
    """Say of which studies a run is one: they have the price over several seeds."""
    known = [
        study.id for study in list_studies() if run.id in set(studies.study_table(study, "members")["run"].astype(str))
    ]
    return [
        f"It is one run of {study}: `winnow report --study {study}` has the price over its seeds." for study in known
    ]


def not_claimed_of_run(run: Run) -> list[str]:
    """Say what the numbers of a run do not show."""
    known, work = summary(run), newest_pruning(run)
    found = [] if known.imported else [ONE_SEED]
    if run.spec.penalty.target is not None or run.spec.penalty.strength > 0:
        found += [] if dense_twin(run) else [NO_DENSE]
    if not run.spec.test and not is_recorded(run):
        found.append("The metrics are of the validation images. The test images were not used.")
    found += _unfinished(run, known)
    if work is None:
        return [*found, "No claim that a smaller network gives the same outputs: nothing was removed."]
    found += outdated(run, work)
    given = certificate(work)
    found += [
        f"Not compared by the certificate: {what} ({why})." for what, why in (given.open if given else {}).items()
    ]
    if given and given.refitted_afterwards:
        found.append("The pruned network was refitted after its certificate: its outputs are no longer the same.")
    spent = before_after.costs(work)
    if not spent["steady"].astype(bool).all():
        found.append("The machine was busy while some times were taken. Do not quote those times.")
    return [*found, "Times hold for this machine, these batch sizes and this number of threads only."]


def outdated(run: Run, work: DerivedJob) -> list[str]:
    """Say that a run was trained on after a job on it had begun, where it was."""
    began, trained = work.recorded_status().started, run.recorded_status().started
    if not began or not trained or trained <= began:
        return []
    return [f"The run was trained further after {work.kind} {work.id}, which belongs to an earlier checkpoint."]


def _unfinished(run: Run, known: Summary) -> list[str]:
    state = state_word(known.status)
    if state == "done":
        return []
    if known.imported:
        ended = "did not end well" if state in ("failed", "lost", "stopped") else "has not ended"
        return [f"The import {ended}: nothing can be said of this network."]
    done = f"{events.epochs_done(run)} of {count(known.status.epochs, 'epoch')}"
    return [f"The run {UNFINISHED.get(state, f'is {state}')} after {done}: its numbers are not final."]
