"""How much better is an arm than another, and how sure is that? Paired by seed, with 95 % intervals.

| function | rows                        | columns                                                           |
|----------|-----------------------------|-------------------------------------------------------------------|
| `paired` | arm against arm, by Δ_m [%] | title, difference, low, high (infinite for one seed), pairs, kind |

The kind is `dense`: the arm against the dense network of the same tasks, or `arm`: against another arm at the same
level.
"""

from dataclasses import dataclass

import pandas as pd

from winnow.dashboard.frames.studies import study_table
from winnow.dashboard.shared.formatting import level_word
from winnow.engine.runs.study import Study

COLUMNS = ["title", "difference", "low", "high", "pairs", "kind"]


@dataclass(frozen=True)
class Which:
    """Which Δ_m: on which split, against which baselines (single or dense), in which definition."""

    split: str
    against: str
    definition: str


def paired(study: Study, which: Which) -> pd.DataFrame:
    """Return the differences of Δ_m: of every sparse arm from the dense one, and of the arms at one level."""
    rows = [*_from_dense(study_table(study, "summary"), which), *_between(study_table(study, "comparisons"), which)]
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS)).dropna(subset="difference").reset_index(drop=True)


def _from_dense(summary: pd.DataFrame, which: Which) -> list[list[object]]:
    quantity = f"delta.{which.against}.{which.definition}"
    own = summary[(summary["quantity"] == quantity) & (summary["split"] == which.split) & (summary["arm"] != "dense")]
    own = own[own["pairs"] > 0]
    return [[f"{_arm(row, row['arm'])} − dense", *_numbers(row), "dense"] for _, row in own.iterrows()]


def _between(comparisons: pd.DataFrame, which: Which) -> list[list[object]]:
    wanted = (
        (comparisons["split"] == which.split)
        & (comparisons["against"] == which.against)
        & (comparisons["definition"] == which.definition)
    )
    own = comparisons[wanted]
    return [[f"{_arm(row, row['arm'])} − {row['other']}", *_numbers(row), "arm"] for _, row in own.iterrows()]


def _arm(row: pd.Series, arm: object) -> str:
    return f"{row['subset']}, {level_word(str(row['level_of']), float(row['level']))}: {arm}"


def _numbers(row: pd.Series) -> list[float]:
    return [float(row[name]) for name in ("difference", "difference_low", "difference_high", "pairs")]
