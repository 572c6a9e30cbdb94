"""Two runs held against one another: what each reached, and their networks side by side.

| function         | rows                        | columns                                                       |
|------------------|-----------------------------|---------------------------------------------------------------|
| `paired_metrics` | metrics of the common tasks | task, metric, label, unit, better, a, b, difference, gain [%] |
| `paired_groups`  | groups of both networks     | layer, channel, a, b: the norms                               |
| `paired_layers`  | layers                      | layer, depth, total, both, only_a, only_b, neither            |

The gain is that of B over A, positive where B is better. It is missing where a ratio says nothing: of R², whose 0 is
the constant prediction, and where A has next to nothing, so that the gain would be beyond `MOST_GAIN`. The metrics are
those of the networks that the runs stand for: on the test split where both were judged on it, else on validation.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from winnow.dashboard.frames.cells import Kind
from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.groups import norms as norm_log
from winnow.dashboard.frames.summaries import LABELS_OF, judged_on, summary
from winnow.data.sample import Field
from winnow.engine.runs.norm_log import Layer
from winnow.engine.runs.quantities import metrics as metrics_of
from winnow.engine.runs.run import Run
from winnow.engine.studies.delta import relative_gains

SPLITS = ("test", "kept", "val")
IN_WORDS = {"test": "test images", "kept": "validation images", "val": "validation images, newest epoch"}
METRICS = ["task", "metric", "label", "unit", "better", "a", "b", "difference", "gain"]
MOST_GAIN = 300.0  # % of A's value
MOST_SAID = 200  # characters of a part of a description
NO_RATIO = "r2"
Key = tuple[str, str]


def paired_metrics(a: Run, b: Run) -> tuple[pd.DataFrame, str, str]:
    """Return the metrics of both, the split that they were taken from, in words, and how its images differ.

    Where the images differ, no metric of one is better than that of the other: difference and gain are missing.
    """
    reached = (_reached(a), _reached(b))
    split = next((name for name in SPLITS if all(found[name] for found in reached)), "val")
    first, second = (found[split] for found in reached)
    ours, theirs = (spec.fields if spec is not None else {} for spec in (summary(a).spec, summary(b).spec))
    rows = []
    for task, name in first:
        known, other = ours.get(task), theirs.get(task)
        if known is None or other is None or _meant(known) != _meant(other):
            continue  # the same name for something else: no number of one is a number of the other
        metric = next((one for one in metrics_of(known) if one.name == name), None)
        if metric is not None and (task, name) in second:
            rows.append([task, name, metric.label, metric.unit, metric.better, first[task, name], second[task, name]])
    frame = pd.DataFrame(rows, columns=pd.Index(METRICS[:-2]))
    judged = pd.DataFrame(
        {"value": frame["b"], "baseline": frame["a"], "higher_is_better": frame["better"] == "higher"}
    )
    gain = relative_gains(judged.astype({"value": float, "baseline": float})) if len(frame) else pd.Series(dtype=float)
    gain = gain.where((gain.abs() <= MOST_GAIN) & (frame["metric"] != NO_RATIO))
    whole = frame.assign(difference=frame["b"] - frame["a"], gain=gain)[METRICS]
    if differ := pair_other_images(a, b, "test" if split == "test" else "val"):
        whole = whole.assign(difference=np.nan, gain=np.nan)
    return whole, IN_WORDS[split], differ


def _meant(field: Field) -> tuple[object, ...]:
    return field.kind, field.classes, field.unit


def pair_other_images(a: Run, b: Run, split: str) -> str:
    """Say in which parts of their descriptions the images and labels of a split differ, "" where they are the same."""
    one, other = (judged_on(summary(run), split) for run in (a, b))
    if not one or not other:
        return (
            f"the description of {' and '.join(n for n, known in (('A', one), ('B', other)) if not known)} is damaged"
        )
    own = {name for name in {**one, **other} if name.startswith(LABELS_OF) and (name not in one or name not in other)}
    names = [name for name in {**one, **other} if one.get(name) != other.get(name) and name not in own]
    if "dataset" in names:
        names = ["dataset"]  # each has options of its own
    return ", ".join(_told(name, str(one.get(name, "–")), str(other.get(name, "–"))) for name in names)


def _told(name: str, a: str, b: str) -> str:
    """Say what a part of two descriptions is, but not where it fills the page."""
    return f"{name} {a} in A, {b} in B" if max(len(a), len(b)) <= MOST_SAID else f"{name} (see Descriptions)"


def shape(run: Run) -> tuple[Layer, ...]:
    """Return the layers of a run's network, none before it is built."""
    try:
        return norm_log(run).layers
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def kind(run: Run) -> Kind | None:
    """Return the kind of a run's groups, None where its spec can't be read."""
    spec = summary(run).spec
    return None if spec is None else spec.penalty.groups


def paired_groups(a: Run, b: Run) -> pd.DataFrame:
    """Return the norms of both, group by group; no rows where the networks or their groups are not of one shape."""
    if shape(a) != shape(b) or not shape(a) or kind(a) != kind(b):
        return pd.DataFrame(columns=["layer", "channel", "a", "b", "near_a", "near_b"])
    first, second = (_groups(run.path, *_versions(run)) for run in (a, b))
    frame = first[["layer", "channel"]].assign(a=first["norm"], b=second["norm"])
    return frame.assign(near_a=first["state"] == "near", near_b=second["state"] == "near")


def paired_layers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, of `paired_groups`, how many of each layer live in both, in one, in neither."""
    alive = {"a": frame["a"] > 0, "b": frame["b"] > 0}
    found = frame.assign(
        both=alive["a"] & alive["b"],
        only_a=alive["a"] & ~alive["b"],
        only_b=alive["b"] & ~alive["a"],
        neither=~alive["a"] & ~alive["b"],
    )
    counts = found.groupby("layer", sort=False)[["both", "only_a", "only_b", "neither"]].sum().reset_index()
    counts.insert(1, "depth", np.arange(len(counts)))
    counts.insert(2, "total", counts[["both", "only_a", "only_b", "neither"]].sum(axis=1))
    return counts


def siblings(run: Run, others: list[Run]) -> list[Run]:
    """Return one run per seed of those with the same description but for seed and name, this one first.

    A run that was repeated is no second seed: the newest counts, `others` being in that order.
    """
    own, seeds = _alike(run), {_seed(run): run}
    for other in others:
        if own is not None and _alike(other) == own:
            seeds.setdefault(_seed(other), other)
    return list(seeds.values())


def _alike(run: Run) -> str | None:
    spec = summary(run).spec
    return None if spec is None else spec.model_dump_json(exclude={"seed", "name", "start"})


def _seed(run: Run) -> int | None:
    spec = summary(run).spec
    return None if spec is None else spec.seed


def _reached(run: Run) -> dict[str, dict[Key, float]]:
    return _read(run.path, version(run.path / "events.jsonl"))


def _versions(run: Run) -> tuple[Version, Version]:
    return version(run.path / "tables" / "groups.parquet"), version(run.path / "groups" / "norms.bin")


@latest(64)
def _read(path: Path, _log: Version) -> dict[str, dict[Key, float]]:
    """Return the last value of each metric by split."""
    events = Run(path).events()
    own = events[events["task"].notna() & events["split"].isin(list(SPLITS))]
    found: dict[str, dict[Key, float]] = {split: {} for split in SPLITS}
    for split, task, quantity, value in zip(
        *(own[name] for name in ("split", "task", "quantity", "value")), strict=True
    ):
        found[str(split)][str(task), str(quantity)] = float(value)
    return found


@latest(32)
def _groups(path: Path, table: Version, _rows: Version) -> pd.DataFrame:
    """Return the groups of the network that a run stands for; of the newest epoch as long as there is no table."""
    if any(table):
        return Run(path).table("groups").astype({"layer": str})
    frame = Run(path).groups().astype({"layer": str})
    return frame.assign(state=np.where(frame["alive"], "alive", "dead"))
