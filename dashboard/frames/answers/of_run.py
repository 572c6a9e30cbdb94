"""What the pages Train and Groups answer: does the run learn, how sparse is it, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import MOST_NAMED, Answer, count, joined_up, percent
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.shared.formatting import COUNTED, measured
from winnow.engine.runs.quantities import Metric

ENDED: Mapping[str, str] = {"failed": "failed", "lost": "was lost", "stopped": "was stopped"}


@dataclass(frozen=True)
class RunCourse:
    """How far a run has come: whole epochs behind its newest metrics; the target [%] that holds, where it has one."""

    epochs: int
    target: float | None = None


def train_answer(known: Summary, constants: Mapping[tuple[str, str], float], course: RunCourse) -> Answer:
    """Say how sparse the network is, and which tasks beat the best prediction that ignores the image."""
    if ended := ENDED.get(known.status.state) if not known.newest else None:
        return Answer(f"This run {ended} before it recorded a number.", *_why(known))
    if not known.newest or known.spec is None:
        return Answer("This run has not recorded a number yet.", "The log says what it is waiting for.")
    if known.imported:
        return _imported(known)
    if not course.epochs:
        return _before_the_first(known)
    penalty, zero = known.spec.penalty, known.sparsity("group_sparsity")
    target = course.target or penalty.target
    aim = "" if target is None else f" (target: {target:g} % of the {COUNTED[penalty.target_of]})"
    sparse = f"After epoch {course.epochs} of {known.status.epochs}, {percent(zero)} of the groups are zero{aim}"
    margins = _margins(known.main_metrics(), constants)
    broken = _without_a_number(known)
    if not margins:
        return Answer(f"{sparse}.{broken}", *_where(zero))
    better = [f"{task} by {said}" for task, (ahead, said) in margins.items() if ahead]
    worse = [task for task, (ahead, _) in margins.items() if not ahead]
    beaten = f", and {len(better)} of {count(len(margins), 'task')} beat the constant prediction"
    says = f"{sparse}{beaten}{': ' if better else ''}{joined_up(better, MOST_NAMED)}.{broken}"
    if worse:
        return Answer(
            says, f"Look at {joined_up(worse, MOST_NAMED)}: no better than a prediction that ignores the image."
        )
    return Answer(says, *_where(zero))


def _without_a_number(known: Summary) -> str:
    """Say which tasks have a metric that is no number, though it was recorded."""
    newest = {task: known.newest.get((task, metric.name), 0.0) for task, (metric, _) in known.main_metrics().items()}
    broken = [task for task, value in newest.items() if not isfinite(value)]
    if not broken:
        return ""
    return (
        f" The newest epoch gave no number for {joined_up(broken, MOST_NAMED)}: NaN, infinite, or no image had a label."
    )


def _where(zero: float) -> tuple[str, str]:
    return ("Groups shows where the zeros are.", "groups") if zero > 0 else ("", "")


def _imported(known: Summary) -> Answer:
    if known.status.state == "failed":
        return Answer("The import of this network failed.", *_why(known))
    zero = known.sparsity("group_sparsity")
    says = f"This network was imported, not trained here: {percent(zero)} of its groups are zero."
    return Answer(says, *(_where(zero) if zero > 0 else ("Explain shows what its tasks rely on.", "explain")))


def _before_the_first(known: Summary) -> Answer:
    """Say that no epoch is over: the metrics are those of the network as it started."""
    if ended := ENDED.get(known.status.state):
        return Answer(
            f"This run {ended} before its first epoch was over: the metrics are those of the network as it started.",
            *_why(known),
        )
    return Answer("The first epoch is not over yet: the metrics are those of the network as it started.")


def _why(known: Summary) -> tuple[str]:
    return ("The message below says why; the log says what came before." if known.status.message else "",)


def groups_answer(known: Summary, layers: pd.DataFrame) -> Answer:
    """Say how much is zero, how much of it can go, and which layer has lost most."""
    removable = known.newest.get((None, "removable_macs"), nan)
    says = f"{percent(known.sparsity('group_sparsity'))} of the groups are zero"
    also = f", and {percent(removable)} of the MACs can be removed without changing an output"
    says += f"{also if removable > 0 else ''}."
    near, broken = int(layers["near"].sum()), int(layers["broken"].sum())
    if broken:
        verb = "has" if broken == 1 else "have"
        return Answer(
            f"{broken:,} of {count(int(layers['total'].sum()), 'group')} {verb} no finite norm: weights are NaN or "
            "infinite. Nothing can be said of the sparsity of this network.",
            "Train shows its message and its log.",
            "train",
        )
    lost = (layers["dead"] / layers["total"]).fillna(0)
    if lost.any():
        row = layers.iloc[int(np.argmax(lost.to_numpy(float)))]
        living = row["alive"] + row["near"]
        verb = "is" if living == 1 else "are"
        says += f" {row['layer']} has lost most: {living} of {count(row['total'], 'group')} {verb} alive."
    if near:
        verb = "is" if near == 1 else "are"
        return Answer(f"{says} {count(near, 'group')} {verb} near the threshold.", "Firmness lists them.")
    if removable > 0:
        return Answer(says, "Prune removes what no layer uses.", "prune")
    if known.sparsity("group_sparsity") == 0 and known.status.state == "done":
        return Answer(says, "So nothing can be removed exactly; Prune can remove a budget, at a price.", "prune")
    return Answer(says)


def _margins(
    figures: Mapping[str, tuple[Metric, float]], constants: Mapping[tuple[str, str], float]
) -> dict[str, tuple[bool, str]]:
    """Return task → whether it is ahead of the constant prediction, and by how much; tasks without a value left out."""
    found = {}
    for task, (metric, value) in figures.items():
        margin = value - constants.get((task, metric.name), nan)
        if isfinite(margin):
            unit = "points" if metric.unit == "%" else metric.unit
            found[task] = (margin > 0) == (metric.better == "higher") and margin != 0, measured(abs(margin), unit)
    return found
