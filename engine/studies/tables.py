"""The tables of a study: the results of its runs, compared. They are computed again whenever a run ends.

| table         | a row is                                                                                          |
|---------------|---------------------------------------------------------------------------------------------------|
| `results`     | a metric of a task of a run on a split (engine.studies.rows)                                      |
| `delta`       | Δ_m of a run in one definition against one kind of baseline (engine.studies.delta)                |
| `summary`     | a quantity of an arm over its seeds: mean, std, n, low, high (95 % interval of the mean), and     |
|               | difference, difference_low, difference_high, pairs: paired by seed with the dense arm of the same |
|               | tasks and balancing                                                                               |
| `comparisons` | Δ_m of an arm minus that of another at the same level, paired by seed, as in `summary`            |
| `jaccard`     | overlap of the survivors of two seeds of an arm (engine.explain.checks.overlap)                   |
| `latency`     | a measure of a pruned run, if asked for (engine.studies.latency)                                  |
| `unseen`      | Δ_m of a task with a support that was found on other tasks, minus that of `other` (the dense      |
|               | network, random groups, the support found on the task itself): task, support (the other tasks),   |
|               | level, split, definition, other, as in `summary`; with `unseen` tasks only                        |
| `path`        | a point of a path, the densest first                                                              |
| `depth`       | a layer of a trunk for a task (engine.studies.depth_advice; kind `tailor` only)                   |
| `advice`      | a task and the stage that it needs (the same)                                                     |
| `deaths`      | a group: layer, channel, the point from which on it is dead in the runs of the first seed (none   |
|               | for survivors), and its level                                                                     |

The quantities of `summary` are `<task>.<metric>`, `delta.<against>.<definition>` and the figures of a run.

The columns of `path`: point, level_of, level, seeds, runs (with commas), strength (λ at the end), the three sparsities,
what is removable, skill (mean over seeds, on validation) and its standard error, `<split>.<task>.<metric>` for every
metric, and two marks:

- elbow: where the skill begins to fall: the point farthest above the chord of the curve (group sparsity, skill), both
  scaled to [0, 1] (Satopää et al. 2011, "kneedle"); none where no point is above it;
- one_standard_error: the sparsest point whose skill is within one standard error of the best one's (Breiman et al.
  1984). The error is that over seeds, so that a single seed has no mark.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.engine.explain.checks.overlap import survivor_overlap
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import PathSpec, StudySpec, TailorSpec
from winnow.engine.specs.trunk import TrunkSpec
from winnow.engine.studies.delta import delta_table
from winnow.engine.studies.depth_advice import advice_tables, depth_rule
from winnow.engine.studies.intervals import mean_of
from winnow.engine.studies.rows import FIGURES

ARM = ["arm", "subset", "balancing", "level_of", "level"]
LEVEL = ["level_of", "level"]
KEY = [*ARM, "seed", "split"]
MEANS = ["mean", "std", "n", "low", "high"]
UNSEEN_OF = ["task", "support", *LEVEL, "split", "definition", "other"]
PAIRED = ["difference", "difference_low", "difference_high", "pairs"]


def study_tables(study: Study, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of a study by name, from the results of its finished runs."""
    definition = study.spec.definition if isinstance(study.spec, StudySpec) else "main"
    deltas = delta_table(results, definition)
    quantities = long_quantities(results, deltas)
    found = {
        "results": results,
        "delta": deltas,
        "summary": summary_table(quantities),
        "comparisons": comparisons_table(deltas),
        "jaccard": jaccard_table(study, results),
    }
    if isinstance(study.spec, StudySpec) and study.spec.unseen:
        found["unseen"] = unseen_table(study.spec, deltas)
    if isinstance(study.spec, PathSpec):
        found |= {"path": path_table(results), "deaths": deaths_table(study, results)}
    network = study.spec.base.network
    if isinstance(study.spec, TailorSpec) and isinstance(network, TrunkSpec):
        found |= advice_tables(_evidence(study, results), network.depth, depth_rule(study.spec))
    return found


def _evidence(study: Study, results: pd.DataFrame) -> dict[str, list[Run]]:
    """Return the sparse runs of each single task that have ended, one for each seed."""
    own = results[results["arm"].isin(["sparse", "given"])].drop_duplicates("run")
    names = {task: own.loc[own["subset"] == task, "run"] for task in study.spec.base.tasks}
    return {task: [Run(study.root / str(run)) for run in runs] for task, runs in names.items()}


def long_quantities(results: pd.DataFrame, deltas: pd.DataFrame) -> pd.DataFrame:
    """Return all quantities that have a mean over seeds, one value per row: KEY, quantity, value."""
    metrics = results.assign(quantity=results["task"].astype(str) + "." + results["metric"].astype(str))
    ratios = deltas.assign(quantity="delta." + deltas["against"] + "." + deltas["definition"], value=deltas["delta"])
    figures = results.drop_duplicates(KEY).melt(KEY, list(FIGURES), "quantity", "figure")
    columns = [*KEY, "quantity", "value"]
    parts = [metrics[columns], ratios[columns], figures.rename(columns={"figure": "value"})[columns]]
    return pd.concat([part.astype({"value": float}) for part in parts if len(part)] or parts, ignore_index=True)


def summary_table(quantities: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds with their intervals, and paired differences from the dense arm."""
    dense = quantities[quantities["arm"] == "dense"]
    keys = ["subset", "balancing", "split", "quantity", "seed"]
    baseline = dense[[*keys, "value"]].rename(columns={"value": "dense"})
    joined = quantities.merge(baseline, on=keys, how="left")
    rows = []
    for who, own in joined.groupby([*ARM, "split", "quantity"], sort=False):
        values = own["value"].dropna().tolist()
        if values:
            differences = (own["value"] - own["dense"]).dropna().tolist()
            rows.append([*who, *_mean(values), *_difference(differences)])
    return pd.DataFrame(rows, columns=pd.Index([*ARM, "split", "quantity", *MEANS, *PAIRED]))


def comparisons_table(deltas: pd.DataFrame) -> pd.DataFrame:
    """Return Δ_m of each arm minus that of each other arm with the same tasks, balancing and level.

    An arm without a level (`continued`) is compared with the arms of every level. The dense arm is left out: Δ_m is
    relative to it.
    """
    kind = ["subset", "balancing", "split", "against", "definition"]
    cell = [*kind, "level_of", "level"]
    arms = deltas[deltas["arm"] != "dense"]
    plain = arms[arms["level_of"] == ""]
    rows = []
    for who, own in arms[arms["level_of"] != ""].groupby(cell, sort=False):
        same = plain.merge(own[kind].drop_duplicates(), on=kind)
        both = pd.concat([own, same]) if len(same) else own
        found = {str(arm): part.set_index("seed")["delta"] for arm, part in both.groupby("arm", sort=False)}
        for one, other in combinations(found, 2):
            differences = (found[one] - found[other]).dropna().tolist()
            if differences:
                rows.append([*who, one, other, *_difference(differences)])
    return pd.DataFrame(rows, columns=pd.Index([*cell, "arm", "other", *PAIRED]))


def unseen_table(spec: StudySpec, deltas: pd.DataFrame) -> pd.DataFrame:
    """Return by how much a support found on other tasks is better for a task, paired by seed, in points of Δ_m [%]."""
    own = deltas[(deltas["against"] == "dense") & deltas["subset"].isin(spec.unseen)]
    rows = []
    for who, cells in own.groupby(["subset", *LEVEL, "split", "definition"], sort=False):
        found = {str(arm): part.set_index("seed")["delta"] for arm, part in cells.groupby("arm", sort=False)}
        if "transferred" not in found:
            continue
        support = "+".join(task for task in spec.base.tasks if task != who[0])
        for other in ("dense", "random", "found"):
            against = 0.0 if other == "dense" else found.get(other)
            differences = [] if against is None else (found["transferred"] - against).dropna().tolist()
            if differences:
                rows.append([who[0], support, *who[1:], other, *_difference(differences)])
    return pd.DataFrame(rows, columns=pd.Index([*UNSEEN_OF, *PAIRED]))


def jaccard_table(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return the overlap of the survivors of every two seeds, for each arm with zeros, layer by layer."""
    sparse = results[results["group_sparsity"] > 0]
    found = []
    for who, own in sparse.groupby(ARM, sort=False):
        runs = own.drop_duplicates("seed").set_index("seed")["run"]
        if len(runs) > 1:
            masks = {str(seed): Run(study.root / str(run)).table("groups") for seed, run in runs.items()}
            overlaps = survivor_overlap(masks)
            for place, (name, value) in enumerate(zip(ARM, who, strict=True)):
                overlaps.insert(place, name, [value] * len(overlaps))
            found.append(overlaps)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=pd.Index([*ARM, "layer", "jaccard"]))


def _mean(values: list[float]) -> Iterator[float]:
    found = mean_of(values)
    yield from (found.mean, found.std, found.n, found.low, found.high)


def _difference(differences: list[float]) -> list[float]:
    if not differences:
        nan = float("nan")
        return [nan, nan, nan, 0]
    found = mean_of(differences)
    return [found.mean, found.low, found.high, found.n]


def path_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per point of a path, the densest first."""
    if not len(results):
        return pd.DataFrame(columns=pd.Index(["point", *LEVEL, "elbow", "one_standard_error"]))
    named = results.assign(name=results[["split", "task", "metric"]].agg(".".join, axis=1))
    metrics = named.pivot_table("value", LEVEL, "name", sort=False)
    runs = results.drop_duplicates([*LEVEL, "seed"])
    grouped = runs.groupby(LEVEL, sort=False)
    table = grouped[list(FIGURES)].mean()
    table.insert(0, "runs", grouped["run"].agg(",".join))
    table.insert(0, "seeds", grouped.size())
    table["skill_error"] = grouped["skill"].sem()
    table = table.join(metrics).reset_index().sort_values(["group_sparsity", "level"], kind="stable")
    table.insert(0, "point", range(len(table)))
    table["elbow"] = np.arange(len(table)) == elbow(table["group_sparsity"].to_numpy(), table["skill"].to_numpy())
    table["one_standard_error"] = np.arange(len(table)) == one_standard_error(table)
    return table.reset_index(drop=True)


def elbow(sparsity: NDArray[np.float64], skill: NDArray[np.float64]) -> int:
    """Return the index of the point farthest above the chord of a curve, -1 where none is above it."""
    if len(sparsity) < 3 or np.ptp(sparsity) == 0 or np.ptp(skill) == 0 or not np.isfinite(skill).all():
        return -1
    x = (sparsity - sparsity.min()) / np.ptp(sparsity)
    y = (skill - skill.min()) / np.ptp(skill)
    above = y - (y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0]))
    return int(above.argmax()) if above.max() > 1e-9 else -1


def one_standard_error(table: pd.DataFrame) -> int:
    """Return the index of the sparsest row within one standard error of the best skill, -1 without errors."""
    skill, errors = table["skill"].to_numpy(float), table["skill_error"].to_numpy(float)
    if not np.isfinite(skill).all():
        return -1
    best = int(skill.argmax())
    within = np.flatnonzero(skill >= skill[best] - errors[best])
    return int(within[-1]) if len(within) else -1


def deaths_table(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return the point from which on each group is dead, in the runs of the first seed."""
    own = results[results["seed"] == results["seed"].min()].drop_duplicates(LEVEL)
    own = own.sort_values(["group_sparsity", "level"], kind="stable")
    tables = [Run(study.root / str(run)).table("groups") for run in own["run"]]
    if not tables:
        return pd.DataFrame(columns=pd.Index(["layer", "channel", "point", "level"]))
    dead = np.stack([(table["norm"] == 0).to_numpy() for table in tables])  # (points, groups)
    since = np.flip(np.logical_and.accumulate(np.flip(dead, 0), 0), 0)  # dead from here to the end
    point = np.where(since.any(0), since.argmax(0), -1)
    levels = own["level"].to_numpy(float)
    frame = tables[0][["layer", "channel"]].copy()
    frame["point"] = pd.array(point, dtype="Int64")
    frame["level"] = np.where(point >= 0, levels[point], np.nan)
    frame.loc[point < 0, "point"] = pd.NA
    return frame.reset_index(drop=True)
