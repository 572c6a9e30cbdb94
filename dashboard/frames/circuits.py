"""The circuits of the tasks (engine.explain.circuits), ready to be drawn: a trunk of layers that splits into tasks.

| function     | columns                                                                                              |
|--------------|------------------------------------------------------------------------------------------------------|
| `lanes`      | layer, depth, tasks, size, edges, share: per layer and set of tasks, how many edges exactly these    |
|              | tasks keep, and their part of all edges that some task keeps there; the heads' layers come last, at  |
|              | one depth, each task's with the part 1/T                                                             |
| `nodes`      | layer, depth, channel, tasks, size, edges: per channel that is read along a kept edge, which tasks   |
|              | do, and over how many edges; `at` is the layer where it can be selected                              |
| `summary`    | task, level, kept, edges, share [%], faithfulness, low, high, completeness, random [%]               |
| `overlap`    | task, other, jaccard, low, high, chance [%], of all layers                                           |
| `agreed`     | of two runs, in per cent: task, layer, a_share, b_share; where channel m of one is channel m of the  |
|              | other also jaccard, a_in_b, b_in_a, dead_in_b (engine.explain.circuits.tables)                       |
"""

import re

import pandas as pd

from winnow.dashboard.frames.explanations import (
    explained_layers,
    explained_tasks,
    explanation_spec,
    explanation_table,
    explanations,
)
from winnow.engine.explain.circuits.tables import circuit_agreement, kept_column, task_sets_of_edges
from winnow.engine.explain.usage import JOIN
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE

LEVEL = 0.95
MISSING = "The circuits are missing"  # begins the last thing that a job says, where it is so (engine.jobs.explain_job)
UNTOLD = "Why was not recorded: explain the run again with circuits to see it."
TRUNK = "trunk"  # the output of the trunk, where what heads read can be selected
FIGURES = ["faithfulness", "low", "high", "completeness", "random", "missed"]
AGREED = {
    "one_share": "a_share",
    "other_share": "b_share",
    "one_in_other": "a_in_b",
    "other_in_one": "b_in_a",
    "dead_in_other": "dead_in_b",
}
ALL_LAYERS = "all layers"


def circuit_lanes(work: DerivedJob) -> pd.DataFrame:
    """Return the lanes of the drawing."""
    edges = _placed(work)
    if edges.empty:
        return pd.DataFrame(columns=["layer", "depth", "tasks", "size", "edges", "share"])
    keys = ["layer", "depth", "tasks", "size", "head"]
    found = edges.groupby(keys, sort=False).size().rename("edges").reset_index()
    within = found.groupby("layer")["edges"].transform("sum")
    found["share"] = (found["edges"] / within).where(~found["head"], 1 / max(len(explained_tasks(work)), 1))
    found = found.sort_values(["depth", "size", "tasks"], ascending=[True, False, True], kind="stable")
    return found[["layer", "depth", "tasks", "size", "edges", "share"]].reset_index(drop=True)


def circuit_nodes(work: DerivedJob) -> pd.DataFrame:
    """Return the channels along whose edges the circuits run."""
    edges = _placed(work)
    columns = ["layer", "depth", "channel", "tasks", "size", "edges", "at"]
    if edges.empty:
        return pd.DataFrame(columns=columns)
    order = explained_tasks(work)
    grouped = edges.groupby(["layer", "depth", "head", "source"], sort=False)
    found = grouped["tasks"].agg(lambda sets: JOIN.join(_in_order(sets, order))).to_frame()
    found["edges"] = grouped.size()
    found = found.reset_index().rename(columns={"source": "channel"})
    found["size"] = found["tasks"].str.count(re.escape(JOIN)) + 1
    known = {layer.name: layer.groups for layer in explained_layers(work)}
    found["at"] = [
        TRUNK if head and channel < known.get(TRUNK, 0) else layer if channel < known.get(layer, 0) else ""
        for layer, head, channel in zip(found["layer"], found["head"], found["channel"], strict=True)
    ]
    return found[columns]


def circuit_summary(work: DerivedJob) -> pd.DataFrame:
    """Return one row per task and level, shares in per cent."""
    known = explanation_table(work, "circuit_figures")
    percent = {name: 100 * known[name].astype(float) for name in ("level", "share", *FIGURES)}
    return known.assign(**percent)[["task", "level", "kept", "edges", "share", *FIGURES]].reset_index(drop=True)


def circuit_overlap(work: DerivedJob) -> pd.DataFrame:
    """Return one row per two tasks, in per cent."""
    known = explanation_table(work, "circuit_overlaps")
    own = known[known["layer"] == ""]
    names = ["jaccard", "low", "high", "chance"]
    return own.assign(**{name: 100 * own[name].astype(float) for name in names})[["task", "other", *names]].reset_index(
        drop=True
    )


def explained_with_circuits(run: Run) -> DerivedJob | None:
    """Return the newest explanation of a run that has found circuits, None where none has."""
    return next((work for work in explanations(run) if len(explanation_table(work, "circuits"))), None)


def circuits_refused(work: DerivedJob) -> str | None:
    """Return why an explanation that was asked for circuits has none, "" where that is unknown; None in other cases."""
    asked = explanation_spec(work)
    if asked is None or not asked.circuits or work.status.state in LIVE or len(explanation_table(work, "circuits")):
        return None
    _, begins, why = work.status.message.partition(MISSING)
    return f"{begins}{why}"


def newest_refused(run: Run) -> str | None:
    """Return why the newest explanation of a run that was asked for circuits has none; None where none was asked."""
    return next((why for work in explanations(run) if (why := circuits_refused(work)) is not None), None)


def circuits_agreed(one: DerivedJob, other: DerivedJob) -> tuple[pd.DataFrame, str]:
    """Return how far the circuits of explanations of two runs agree, and why nothing can be said, "" where it can.

    This is a view of two stored results, not a result of its own: the user chooses the two runs here, so no job could
    have stored every pair. The engine counts (`engine.explain.circuits.tables.circuit_agreement`), exactly and from the
    stored edges alone: no network runs, and nothing is estimated. The page chooses the pair and writes it in per cent.
    """
    tables = [explanation_table(work, "circuits") for work in (one, other)]
    same = _continues(one.run, other.run) or _continues(other.run, one.run)
    reason = ""
    for corresponding in (True, False) if same else (False,):
        try:
            found = circuit_agreement(tables[0], tables[1], same_channels=corresponding, level=LEVEL)
        except ValueError as error:
            reason = str(error)
            continue
        numbers = 100 * found.drop(columns=["task", "layer"]).astype(float)
        layers = found["layer"].where(found["layer"] != "", ALL_LAYERS)
        whole = pd.concat([found["task"], layers, numbers], axis=1).dropna(axis=1, how="all")
        return whole.rename(columns=AGREED), ""
    return pd.DataFrame(columns=["task", "layer", "a_share", "b_share"]), reason


def _continues(run: Run, other: Run) -> bool:
    """Whether a run started with the weights of another one, so that channel m of one is channel m of the other."""
    start = run.spec.start
    return start is not None and start.weights is not None and start.weights.run == other.id


def _placed(work: DerivedJob) -> pd.DataFrame:
    """Return every edge that some circuit keeps, with its tasks, the depth of its layer, and whether that is a head."""
    known = explanation_table(work, "circuits")
    edges = task_sets_of_edges(known, kept_column(LEVEL))
    layers = known[["layer", "shared"]].drop_duplicates("layer")
    several = known["task"].nunique() > 1
    heads = set(layers.loc[~layers["shared"].astype(bool), "layer"]) if several else set()
    trunk = [name for name in layers["layer"] if name not in heads]
    depth = {name: place for place, name in enumerate(trunk)} | dict.fromkeys(heads, len(trunk))
    return edges.assign(depth=edges["layer"].map(depth), head=edges["layer"].isin(heads))


def _in_order(sets: pd.Series, order: list[str]) -> list[str]:
    found = {task for own in sets for task in str(own).split(JOIN)}
    return [task for task in order if task in found]
