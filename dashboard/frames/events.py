"""The log of a run as tidy frames.

| function           | columns                                                                                     |
|--------------------|---------------------------------------------------------------------------------------------|
| `events`           | those of engine.runs.events, and `at`: epochs of training done when it was recorded, with   |
|                    | fraction                                                                                    |
| `curves`           | at, task, split, quantity, value: losses and metrics of the tasks                           |
| `regularity`       | at, alive [%], strength: ten rows an epoch; strength_least, strength_most, where each layer |
|                    | learns a strength of its own                                                                |
| `strength_changes` | at, step, strength: where a user changed the strength                                       |
| `target_changes`   | at, step, target [%]: where a user changed the target                                       |
| `weights`          | at, task, weight [1] of its gradient in the trunk; no rows where all are equal to 1         |
| `conflict_frame`   | at, task, other, cosine [1] between the gradients of two tasks at the shared features       |
| `removals`         | at, parameters_before, parameters, macs_before, macs: one row a removal that was not undone |
| `sparsities`       | at, group_sparsity, parameter_sparsity, mac_sparsity [%]: one row an epoch                  |
"""

from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winnow.dashboard.frames.file_versions import Version, version
from winnow.dashboard.shared.formatting import asked
from winnow.engine.runs.events import current_events, read_events
from winnow.engine.runs.quantities import SPARSITIES
from winnow.engine.runs.run import Run

COSINE = "cosine:"
LAYERS = ("strength_least", "strength_most")  # of the layers, where each learns its own
END = 200  # bytes


def events(run: Run) -> pd.DataFrame:
    """Return the whole log, read again only when the file has grown."""
    path = run.path / "events.jsonl"
    return _log(path).read(version(path))


def curves(run: Run, since: float = 0.0) -> pd.DataFrame:
    """Return losses and metrics of the tasks from epoch `since` on; the constant predictor's are always there."""
    log = events(run)
    wanted = log["task"].notna() & ((log["at"] >= since) | (log["split"] == "constant"))
    return log.loc[wanted, ["at", "task", "split", "quantity", "value"]].reset_index(drop=True)


def regularity(run: Run, since: float = 0.0) -> pd.DataFrame:
    """Return the share of groups alive [%] and the strength in force, from epoch `since` on."""
    log = events(run)
    wide = _wide(
        log[(log["split"] == "train") & log["task"].isna() & (log["at"] >= since)], ("alive", "strength", *LAYERS)
    )
    unknown = [name for name in LAYERS if wide[name].isna().all()]
    return wide.assign(alive=100 * wide["alive"]).drop(columns=unknown)


def strength_changes(run: Run) -> pd.DataFrame:
    """Return the strengths that users asked for, at the steps from which they held."""
    log = events(run)
    made = log[(log["split"] == "control") & (log["quantity"] == "strength")]
    return made[["at", "step", "value"]].rename(columns={"value": "strength"}).reset_index(drop=True)


def target_changes(run: Run) -> pd.DataFrame:
    """Return the targets that users asked for, at the steps from which they held."""
    log = events(run)
    made = log[(log["split"] == "control") & (log["quantity"] == "target")]
    return made[["at", "step", "value"]].rename(columns={"value": "target"}).reset_index(drop=True)


def targets_asked(run: Run) -> list[float]:
    """Return the targets [%] of a run one after another, the spec's first; none for a run without one."""
    first = run.spec.penalty.target
    planned = [change.target for change in run.spec.target_changes]
    return [] if first is None else [first, *planned, *map(float, target_changes(run)["target"].dropna())]


def asked_of_run(run: Run) -> str:
    """Say what was asked of the sparsity: the strength at the start, or the target and what users made of it."""
    later = [f"{target:g} %" for target in targets_asked(run)[1:]] if run.spec.penalty.target is not None else []
    return ", then ".join([asked(run.spec.penalty), *later])


def weights(run: Run, since: float = 0.0) -> pd.DataFrame:
    """Return the weights of the tasks, as long as they are not all 1, from epoch `since` on."""
    log = events(run)
    known = log[(log["split"] == "train") & (log["quantity"] == "weight") & log["task"].notna()]
    if (known["value"] == 1).all():
        known = known.iloc[:0]
    return known.loc[known["at"] >= since, ["at", "task", "value"]].rename(columns={"value": "weight"})


def conflict_frame(run: Run, since: float = 0.0) -> pd.DataFrame:
    """Return how far the gradients of each two tasks agree, from epoch `since` on."""
    log = events(run)
    known = log[(log["split"] == "conflict") & log["quantity"].str.startswith(COSINE) & (log["at"] >= since)]
    other = known["quantity"].str.removeprefix(COSINE)
    return known.assign(other=other, cosine=known["value"])[["at", "task", "other", "cosine"]].reset_index(drop=True)


def epochs_done(run: Run) -> int:
    """Return after how many whole epochs the newest numbers were recorded; 0 before the end of the first.

    A loop of the user's own may record no metrics: its sparsities come after each epoch as well.
    """
    log = events(run)
    known = log.loc[log["split"].isin(("val", "model")), "epoch"]
    return int(known.max()) if len(known) else 0


def alarmed(run: Run) -> list[str]:
    """Return the layers of which hardly a group was left at some time."""
    log = events(run)
    return list(dict.fromkeys(log.loc[log["split"] == "alarm", "quantity"]))


def sparsities(run: Run, since: float = 0.0) -> pd.DataFrame:
    """Return the three sparsities [%] after each epoch from `since` on."""
    log = events(run)
    return _wide(log[(log["split"] == "model") & (log["at"] >= since)], SPARSITIES)


def removals(run: Run) -> pd.DataFrame:
    """Return what was removed while training."""
    log = events(run)
    return _wide(log[log["split"] == "removal"], ("parameters_before", "parameters", "macs_before", "macs"))


def constants(run: Run) -> dict[tuple[str, str], float]:
    """Return (task, metric) → value of the best prediction that ignores the image."""
    log = events(run)
    known = log[log["split"] == "constant"]
    return dict(zip(zip(known["task"], known["quantity"], strict=True), known["value"], strict=True))


def strength_in_force(run: Run) -> float:
    """Return the strength of the newest step: the last one recorded, the spec's before the first."""
    log = events(run)
    known = log.loc[(log["quantity"] == "strength") & log["split"].isin(["train", "control"]), "value"].dropna()
    return float(known.iloc[-1]) if len(known) else run.spec.penalty.strength


def strength_max(run: Run) -> float | None:
    """Return λ_max, from which on the penalty outweighs the loss in every group; None where it was not measured."""
    log = events(run)
    known = log.loc[(log["split"] == "start") & (log["quantity"] == "strength_max"), "value"].dropna()
    return float(known.iloc[-1]) if len(known) and float(known.iloc[-1]) > 0 else None


def strength_asked(run: Run) -> float:
    """Return the strength that was asked for last and has been granted: by a user, or by the spec."""
    known = strength_changes(run)["strength"].dropna()
    return float(known.iloc[-1]) if len(known) else strength_of_spec(run)


def strength_before(run: Run) -> float | None:
    """Return the strength before the last one that a user asked for; None where none was.

    Where a target or learning moves λ, that is the λ it had reached: what was asked for earlier was long left.
    """
    log, changes, penalty = events(run), strength_changes(run).dropna(), run.spec.penalty
    if changes.empty:
        return None
    if penalty.target is None and penalty.learned == "no":
        return [strength_of_spec(run), *map(float, changes["strength"])][-2]
    before = (log["split"] == "train") & (log["quantity"] == "strength") & (log["step"] <= changes["step"].iloc[-1])
    known = log.loc[before, "value"].dropna()
    return float(known.iloc[-1]) if len(known) else None


def strength_of_spec(run: Run) -> float:
    """Return the strength of the spec, λ itself also where it is given in units of λ_max and that was measured."""
    penalty = run.spec.penalty
    unit = strength_max(run) if penalty.strength_of == "max" else None
    return penalty.strength * (unit or 1.0)


@lru_cache(maxsize=32)
def _log(path: Path) -> "_Log":
    return _Log(path)


class _Log:
    """The records of one log, read on from where the last look ended; a log that was cut is read anew."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._seen: Version | None = None
        self._records = self._shown = pd.DataFrame()
        self._end = b""

    def read(self, now: Version) -> pd.DataFrame:
        """Return the records that hold in this version, with `at`; one frame is held, whatever the number of looks."""
        with self._lock:
            if now != self._seen:
                self._read_on()
                held = current_events(self._records)
                self._shown = held.assign(at=_epochs_done(held))
                self._seen = now
            return self._shown

    def _read_on(self) -> None:
        offset = self._records.attrs.get("offset", 0)
        if not offset or _end_of(self._path, offset) != self._end:
            self._records = read_events(self._path)
        else:
            new = read_events(self._path, offset)
            if len(new):
                self._records = pd.concat([self._records, new], ignore_index=True)
            self._records.attrs["offset"] = new.attrs["offset"]
        self._end = _end_of(self._path, self._records.attrs["offset"])


def _end_of(path: Path, offset: int) -> bytes:
    """Return the last bytes before an offset: those of another log differ, in their times at least."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, offset - END))
            return file.read(min(offset, END))
    except OSError:
        return b""


def _epochs_done(log: pd.DataFrame) -> NDArray[np.float64]:
    """Return step / (steps per epoch): exact at the end of each epoch, linear in between and beyond."""
    ends = log.loc[(log["split"] == "val") & (log["epoch"] > 0), ["epoch", "step"]].drop_duplicates("epoch")
    if ends.empty:
        return _first_epoch(log)
    steps, epochs = np.r_[0, ends["step"]], np.r_[0, ends["epoch"]]
    pace = epochs[-1] / max(steps[-1], 1)
    beyond = np.maximum(log["step"] - steps[-1], 0) * pace
    return np.asarray(np.interp(log["step"], steps, epochs) + beyond, np.float64)


def _first_epoch(log: pd.DataFrame) -> NDArray[np.float64]:
    """Place the records of the first epoch by the custom that there are ten of each kind in it."""
    records = log.loc[log["quantity"] == "alive", "step"]
    per_epoch = 10 * records.iloc[0] if len(records) else 1
    return np.asarray(log["step"] / max(per_epoch, 1), np.float64)


def _wide(log: pd.DataFrame, quantities: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per moment and one column per quantity, missing ones filled with NaN."""
    wide = log.pivot_table(index="at", columns="quantity", values="value", aggfunc="last")
    return wide.reindex(columns=list(quantities)).rename_axis(columns=None).reset_index()
