"""A path as tables: its points in order of sparsity, where it bends, how far one may go, and in which order groups die.

`path`: point, level_of, level, seeds, runs (with commas), strength (λ at the end), the three sparsities, what is
removable, skill (mean over seeds, on validation) and its standard error, `<split>.<task>.<metric>` for every metric,
and two marks:

- elbow: where the skill begins to fall: the point farthest above the chord of the curve (group sparsity, skill), both
  scaled to [0, 1] (Satopää et al. 2011, "kneedle"); none where no point lies above it;
- one_standard_error: the sparsest point whose skill is within one standard error of the best one's (Breiman et al.
  1984). The error is that over seeds: none is marked with a single seed.

`deaths`: layer, channel, point (the first from which on the group is dead in the first seed's runs; none for
survivors) and its level.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.studies.rows import FIGURES

LEVEL = ["level_of", "level"]


def path_tables(study: Study, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return `path` and `deaths` from the results of a path's runs."""
    return {"path": path_table(results), "deaths": deaths(study, results)}


def path_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per grid point, the densest first."""
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
    """Return the place of the point farthest above the chord of a curve, -1 where none lies above it."""
    if len(sparsity) < 3 or np.ptp(sparsity) == 0 or np.ptp(skill) == 0 or not np.isfinite(skill).all():
        return -1
    x = (sparsity - sparsity.min()) / np.ptp(sparsity)
    y = (skill - skill.min()) / np.ptp(skill)
    above = y - (y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0]))
    return int(above.argmax()) if above.max() > 1e-9 else -1


def one_standard_error(table: pd.DataFrame) -> int:
    """Return the place of the sparsest row within one standard error of the best skill, -1 without errors."""
    skill, errors = table["skill"].to_numpy(float), table["skill_error"].to_numpy(float)
    if not np.isfinite(skill).all():
        return -1
    best = int(skill.argmax())
    within = np.flatnonzero(skill >= skill[best] - errors[best])
    return int(within[-1]) if len(within) else -1


def deaths(study: Study, results: pd.DataFrame) -> pd.DataFrame:
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
