"""The tables of a study: what its runs came to, compared. Computed anew from `results` whenever a run ends.

| table         | a row is                                                                                          |
|---------------|---------------------------------------------------------------------------------------------------|
| `results`     | a metric of a task of a run on a split (engine.studies.rows)                                      |
| `delta`       | Δ_m of a run in one definition against one kind of baseline (engine.studies.delta)                |
| `summary`     | a quantity of an arm over its seeds: mean, std, n, low, high (95 % interval of the mean), and     |
|               | difference, difference_low, difference_high, pairs: paired by seed with the dense arm of the same |
|               | tasks and balancing                                                                               |
| `comparisons` | Δ_m of an arm less that of another at the same level, paired by seed, as `summary`                |
| `jaccard`     | how far two seeds of an arm have the same survivors (engine.explain.checks.overlap)               |
| `latency`     | a measure of a pruned run, if asked for (engine.studies.latency)                                  |
| `path`        | a grid point of a path; `deaths`: a group, and where it dies (engine.studies.path_tables)         |

The quantities of `summary` are `<task>.<metric>`, `delta.<against>.<definition>` and the figures of a run.
"""

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from winnow.engine.explain.checks.overlap import mask_overlap
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.study import PathSpec, StudySpec
from winnow.engine.studies.delta import delta_table
from winnow.engine.studies.intervals import mean_of
from winnow.engine.studies.path_tables import path_tables
from winnow.engine.studies.rows import FIGURES

ARM = ["arm", "subset", "balancing", "level_of", "level"]
KEY = [*ARM, "seed", "split"]
MEANS = ["mean", "std", "n", "low", "high"]
PAIRED = ["difference", "difference_low", "difference_high", "pairs"]


def study_tables(study: Study, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of a study by name, from the results of those of its runs that are done."""
    definition = study.spec.definition if isinstance(study.spec, StudySpec) else "main"
    deltas = delta_table(results, definition)
    quantities = long_quantities(results, deltas)
    found = {
        "results": results,
        "delta": deltas,
        "summary": summary(quantities),
        "comparisons": comparisons(deltas),
        "jaccard": jaccard(study, results),
    }
    return found | (path_tables(study, results) if isinstance(study.spec, PathSpec) else {})


def long_quantities(results: pd.DataFrame, deltas: pd.DataFrame) -> pd.DataFrame:
    """Return everything that has a mean over seeds, one value a row: KEY, quantity, value."""
    metrics = results.assign(quantity=results["task"].astype(str) + "." + results["metric"].astype(str))
    ratios = deltas.assign(quantity="delta." + deltas["against"] + "." + deltas["definition"], value=deltas["delta"])
    figures = results.drop_duplicates(KEY).melt(KEY, list(FIGURES), "quantity", "figure")
    columns = [*KEY, "quantity", "value"]
    parts = [metrics[columns], ratios[columns], figures.rename(columns={"figure": "value"})[columns]]
    return pd.concat([part.astype({"value": float}) for part in parts if len(part)] or parts, ignore_index=True)


def summary(quantities: pd.DataFrame) -> pd.DataFrame:
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


def comparisons(deltas: pd.DataFrame) -> pd.DataFrame:
    """Return Δ_m of each arm less that of each other one of the same tasks, balancing and level.

    An arm without a level (`continued`) is held against those of every level; the dense one is what Δ_m is of.
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


def jaccard(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return how far the survivors of two seeds are the same, for each arm with zeros, layer by layer."""
    sparse = results[results["group_sparsity"] > 0]
    found = []
    for who, own in sparse.groupby(ARM, sort=False):
        runs = own.drop_duplicates("seed").set_index("seed")["run"]
        if len(runs) > 1:
            masks = {str(seed): Run(study.root / str(run)).table("groups") for seed, run in runs.items()}
            overlaps = mask_overlap(masks)
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
