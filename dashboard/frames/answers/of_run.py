"""What the pages Train and Groups answer: does the run learn, how sparse is it, and where."""

from collections.abc import Mapping
from math import isfinite, nan

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import Answer, count, joined_up, percent
from winnow.dashboard.frames.summaries import Summary
from winnow.dashboard.shared.formatting import COUNTED, measured
from winnow.engine.runs.quantities import Metric


def train_answer(known: Summary, constants: Mapping[tuple[str, str], float], target: float | None = None) -> Answer:
    """Say how sparse the network is, and which tasks beat the best prediction that ignores the image.

    `target` [%] is the one that holds, where a user has changed that of the spec.
    """
    if not known.newest or known.spec is None:
        return Answer("This run has not recorded a number yet.", "The log says what it is waiting for.")
    penalty, zero = known.spec.penalty, known.sparsity("group_sparsity")
    aim = (
        ""
        if penalty.target is None
        else f" (target: {target or penalty.target:g} % of the {COUNTED[penalty.target_of]})"
    )
    sparse = f"After epoch {known.status.epoch} of {known.status.epochs}, {percent(zero)} of the groups are zero{aim}"
    margins = _margins(known.main_metrics(), constants)
    if not margins:
        return Answer(f"{sparse}.", "Groups shows where they are.", "groups")
    better = [f"{task} by {said}" for task, (ahead, said) in margins.items() if ahead]
    worse = [task for task, (ahead, _) in margins.items() if not ahead]
    beaten = f", and {len(better)} of {count(len(margins), 'task')} beat the constant prediction"
    says = f"{sparse}{beaten}{': ' if better else ''}{joined_up(better)}."
    if worse:
        return Answer(says, f"Look at {joined_up(worse)}: no better than a prediction that ignores the image.")
    return Answer(says, "Groups shows where the zeros are.", "groups")


def groups_answer(known: Summary, layers: pd.DataFrame) -> Answer:
    """Say how much is zero, how much of it can go, and which layer has lost most."""
    removable = known.newest.get((None, "removable_macs"), nan)
    says = f"{percent(known.sparsity('group_sparsity'))} of the groups are zero"
    also = f", and {percent(removable)} of the MACs can be removed without changing an output"
    says += f"{also if removable > 0 else ''}."
    near = int(layers["near"].sum())
    lost = (layers["dead"] / layers["total"]).fillna(0)
    if lost.any():
        row = layers.iloc[int(np.argmax(lost.to_numpy(float)))]
        alive = f"{row['alive'] + row['near']} of {count(row['total'], 'group')}"
        says += f" {row['layer']} has lost most: {alive} are alive."
    if near:
        verb = "is" if near == 1 else "are"
        return Answer(f"{says} {count(near, 'group')} {verb} near the threshold.", "Firmness lists them.")
    return Answer(says, "Prune removes what no layer uses.", "prune") if removable > 0 else Answer(says)


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
