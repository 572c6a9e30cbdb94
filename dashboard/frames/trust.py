"""Is the explanation true? What engine.explain.faithfulness measured, ready to be drawn.

| function       | columns                                                                                          |
|----------------|--------------------------------------------------------------------------------------------------|
| `method_trust` | method, rank_correlation, share_correlation, split_half, head_randomisation: medians over layers |
|                | and tasks, as the badge judges them; least (the weaker correlation); recommended, colour         |
| `against`      | layer, channel, relevance, effect, loss_change: every ablated channel, of one method and task    |
| `deletion`     | layer, order, fraction, loss_change, low, high: mean, least and largest over the random draws    |
| `randomised`   | task, stage, place, value: rank correlation of shares with those under shuffled weights          |
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from winnow.dashboard.frames.answers.answer import joined_up
from winnow.dashboard.frames.explanations import explained_tasks as tasks_of
from winnow.dashboard.frames.explanations import explanation_table
from winnow.dashboard.frames.explanations import methods as methods_of
from winnow.engine.explain.checks import badges
from winnow.engine.explain.checks.badges import Colour
from winnow.engine.runs.derived import DerivedJob

STAGES = {
    "head_randomisation": "heads",
    "cascade_1": "+ last quarter",
    "cascade_2": "+ last half",
    "cascade_3": "+ three quarters",
    "cascade_4": "+ all shared",
}
VERDICTS: dict[Colour, str] = {
    "green": "holds",
    "amber": "holds in part",
    "red": "does not hold",
    "grey": "not checked",
}
JUDGED = ("rank_correlation", "share_correlation", "split_half", "head_randomisation")


def verdict(work: DerivedJob, method: str, tasks: Iterable[str] = ()) -> tuple[Colour, str]:
    """Return colour and words of the badge for a method and some tasks, all where none is named."""
    known = explanation_table(work, "faithfulness")
    own = known[known["method"] == method]
    wanted = list(tasks)
    return badges.badge(own[own["task"].isin(wanted)] if wanted else own)


def doubted_tasks(work: DerivedJob, method: str) -> str:
    """Name the tasks for which an explanation holds less than over all tasks together; "" where there are none."""
    tasks, colours = tasks_of(work), list(VERDICTS)  # the weaker, the later
    weaker = colours[colours.index(verdict(work, method)[0]) + 1 :]
    judged = {task: verdict(work, method, (task,))[0] for task in tasks} if len(tasks) > 1 else {}
    by = {colour: [task for task, own in judged.items() if own == colour] for colour in weaker}
    verbs: dict[Colour, str] = {**VERDICTS, "grey": "is not checked"}
    return joined_up(f"for {joined_up(found)} it {verbs[colour]}" for colour, found in by.items() if found)


def method_trust(work: DerivedJob) -> pd.DataFrame:
    """Return one row per method, in the order in which they were asked for."""
    known = explanation_table(work, "faithfulness")
    rows = []
    for method in methods_of(work):
        own = known[known["method"] == method]
        medians = {figure: badges.median(own, figure) for figure in JUDGED}
        judged = [medians[name] for name in JUDGED[:2] if not np.isnan(medians[name])]
        rows.append({"method": method, **medians, "least": min(judged, default=np.nan), "colour": badges.badge(own)[0]})
    frame = pd.DataFrame(rows, columns=["method", *JUDGED, "least", "colour"])
    best = frame["least"].idxmax() if frame["least"].notna().any() else None
    return frame.assign(recommended=frame.index == best if best is not None else False)


def recommended(work: DerivedJob) -> str | None:
    """Return the method that agrees best with ablation on this run; None where nothing was ablated yet."""
    frame = method_trust(work)
    best = frame.loc[frame["recommended"].astype(bool), "method"]
    return str(best.iloc[0]) if len(best) else None


def against(work: DerivedJob, method: str, task: str) -> pd.DataFrame:
    """Return relevance and the measured effect of ablation, of every channel that was removed alone."""
    said, done = explanation_table(work, "relevance"), explanation_table(work, "ablation")
    said = said[(said["method"] == method) & (said["task"] == task)]
    done = done[(done["channel"] >= 0) & (done["task"] == task)]
    both = said[["layer", "channel", "relevance"]].merge(
        done[["layer", "channel", "effect", "loss_change"]], on=["layer", "channel"]
    )
    return both.reset_index(drop=True)


def deletion(work: DerivedJob, task: str) -> pd.DataFrame:
    """Return the points of the deletion curves of a task: by relevance, and in random order."""
    known = explanation_table(work, "deletion")
    own = known[known["task"] == task]
    points = own.groupby(["layer", "order", "fraction"], sort=False)["loss_change"].agg(["mean", "min", "max"])
    names = {"mean": "loss_change", "min": "low", "max": "high"}
    return points.rename(columns=names).reset_index()


def randomised(work: DerivedJob, method: str) -> pd.DataFrame:
    """Return what is left of the shares at each stage of shuffling: the median over layers."""
    known = explanation_table(work, "faithfulness")
    own = known[(known["method"] == method) & known["figure"].isin(list(STAGES)) & (known["layer"] != "")]
    medians = own.groupby(["task", "figure"], sort=False)["value"].median().reset_index()
    places = {figure: place for place, figure in enumerate(STAGES)}
    found = medians.assign(stage=medians["figure"].map(STAGES), place=medians["figure"].map(places))
    return found.sort_values("place", kind="stable")[["task", "stage", "place", "value"]].reset_index(drop=True)
