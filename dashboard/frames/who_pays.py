"""Who pays: two networks image by image and class by class, dense and sparse, or run A and run B.

`JudgedPair.images`: image, task, metric, unit, better, one, other, lost (in the metric; above 0 is worse, a difference
within `ROUNDING` is 0), changed and changed_unit (how far the predictions are apart, where that was measured).
`iou_changes`: task, class, name, one, other (IoU [%]), change, low, high (points; 95 % by resampling the images),
images (how many hold the class).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames import explanations
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

ROUNDING = 1e-5  # of a metric: what float32 sums in another order may differ by, which no image pays
DRAWS = 1000  # of the images, with replacement
KEYS = ["image", "task", "metric", "unit", "better"]
CLASS_KEYS = ["image", "task", "class", "name"]
COLUMNS = {"images": (*KEYS, "dense", "sparse", "changed", "changed_unit"), "classes": tuple(CLASS_KEYS)}
SIGN = {"higher": 1.0, "lower": -1.0}


@dataclass(frozen=True)
class JudgedPair:
    """Two networks on the same images; empty frames where they were not judged image by image."""

    images: pd.DataFrame
    classes: pd.DataFrame

    @property
    def tasks(self) -> list[str]:
        """The tasks, in their order."""
        return list(dict.fromkeys(self.images["task"]))


def of_pruning(pruning: DerivedJob) -> JudgedPair:
    """Return the dense network of a run and the pruned one."""
    return _of_pruning(pruning.path, *(stored_version(pruning, name) for name in COLUMNS))


def of_run_pair(a: Run, b: Run) -> JudgedPair:
    """Return two runs, by explanations of them that judged the same images; empty where there are none.

    That they were validated on the same data is for the caller to know.
    """
    pair = judged_pair(a, b)
    if pair is None:
        return JudgedPair(*(pd.DataFrame(columns=[*keys, "one", "other"]) for keys in (KEYS, CLASS_KEYS)))
    versions = [stored_version(work, name) for work in pair for name in COLUMNS]
    return _of_runs(pair[0].path, pair[1].path, *versions)


def judged_pair(a: Run, b: Run) -> tuple[DerivedJob, DerivedJob] | None:
    """Return the newest explanations of two runs that judged images of the same split; None where there are none."""
    works = [[work for work in explanations.explanations(run) if len(_stored(work, "images"))] for run in (a, b)]
    pairs = [(one, other) for one in works[0] for other in works[1] if _split(one) == _split(other)]
    return pairs[0] if pairs else None


def iou_changes(classes: pd.DataFrame, draws: int = DRAWS) -> pd.DataFrame:
    """Return one row per class: its IoU with both networks, and the change with its interval.

    The interval is the 2.5th to the 97.5th percentile over `draws` resamplings of the images: it says what other images
    of the kind would give, not what another training would.
    """
    parts = [_changes(str(task), own, draws) for task, own in classes.groupby("task", sort=False)]
    columns = ["task", "class", "name", "one", "other", "change", "low", "high", "images"]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return whole.sort_values("change", kind="stable", ignore_index=True)


def _changes(task: str, own: pd.DataFrame, draws: int) -> pd.DataFrame:
    names = own.drop_duplicates("class").set_index("class")["name"].sort_index()
    counts = {part: _grid(own, part, names.index) for part in ("one", "other")}
    weights = np.random.default_rng(0).multinomial(n := len(counts["one"][0]), np.full(n, 1 / n), draws)
    found = {part: _iou(*(grid.sum(0) for grid in grids)) for part, grids in counts.items()}
    drawn = {part: _iou(*(weights @ grid for grid in grids)) for part, grids in counts.items()}
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(drawn["other"] - drawn["one"], [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "task": task,
            "class": names.index,
            "name": names.to_numpy(),
            "one": found["one"],
            "other": found["other"],
            "change": found["other"] - found["one"],
            "low": low,
            "high": high,
            "images": (counts["one"][1] + counts["other"][1] > 0).sum(0),
        }
    )


def _grid(own: pd.DataFrame, part: str, classes: pd.Index) -> list[NDArray[np.float64]]:
    """Return intersection and union (images, classes) of one network."""
    return [
        own.pivot_table(index="image", columns="class", values=f"{of}_{part}", aggfunc="sum", fill_value=0)
        .reindex(columns=classes, fill_value=0)
        .to_numpy(float)
        for of in ("intersection", "union")
    ]


def _iou(intersection: NDArray[np.float64], union: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union [%], NaN where a class is neither there nor predicted."""
    return np.asarray(100 * np.divide(intersection, union, out=np.full(union.shape, np.nan), where=union > 0))


def burden(images: pd.DataFrame, share: float = 0.1) -> float:
    """Return which part of all that a task lost is borne by the share of its images that lost most; NaN for none."""
    lost = np.sort(images["lost"].dropna().clip(lower=0).to_numpy(float))[::-1]
    total = float(lost.sum())
    return float(lost[: max(1, round(share * len(lost)))].sum() / total) if total else float("nan")


@latest(16)
def _of_pruning(path: Path, *_written: Version) -> JudgedPair:
    work = DerivedJob(path)
    names = {"dense": "one", "sparse": "other"}
    images, classes = (_as(_stored(work, name), names) for name in COLUMNS)
    return JudgedPair(_with_lost(images), classes)


@latest(16)
def _of_runs(a: Path, b: Path, *_written: Version) -> JudgedPair:
    frames = []
    for name, keys in (("images", KEYS), ("classes", CLASS_KEYS)):
        one, other = (_as(_stored(DerivedJob(path), name), {"run": part}) for path, part in ((a, "one"), (b, "other")))
        frames.append(_joined(one, other, keys))
    return JudgedPair(_with_lost(frames[0]), frames[1])


def _joined(one: pd.DataFrame, other: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Join two frames on the images that both judged; a class that only one saw in an image counts 0 in the other."""
    both = set(one["image"]) & set(other["image"])
    how = "outer" if "class" in keys else "inner"
    shared = [frame[frame["image"].isin(both)] for frame in (one, other)]
    found = shared[0].merge(shared[1], on=list(keys), how=how)  # type: ignore[arg-type]
    return found.fillna(0) if how == "outer" else found


def _as(frame: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    return frame.rename(columns={column: _renamed(column, names) for column in frame.columns})


def _renamed(column: str, names: dict[str, str]) -> str:
    first, _, last = column.rpartition("_")
    return names.get(column) or (f"{first}_{names[last]}" if first and last in names else column)


def _with_lost(images: pd.DataFrame) -> pd.DataFrame:
    one, other = images["one"].astype(float), images["other"].astype(float)
    lost = images["better"].map(SIGN).astype(float) * (one - other)
    lost = lost.mask(lost.abs() <= ROUNDING * one.abs().combine(other.abs(), max), 0.0)
    return images.assign(lost=lost).sort_values("lost", ascending=False, kind="stable", ignore_index=True)


def _stored(work: DerivedJob, name: str) -> pd.DataFrame:
    return stored(work, name, COLUMNS)


def _split(work: DerivedJob) -> str:
    return explanations.asked_of_explanation(work).split
