"""Which features does a task rely on? Relevance and ablation (engine.explain.checks), ready to be drawn.

| function           | columns                                                                                         |
|--------------------|-------------------------------------------------------------------------------------------------|
| `ranked`           | layer, channel, relevance, low, high, part [%] (of the task's relevance over all cells), label: |
|                    | the living cells, the most relevant first                                                       |
| `channel_reliance` | task, part, low, high [%] (of the task's relevance over all cells), share, share_low,           |
|                    | share_high (of the cell, missing where it is not the first method's or the cell is dead)        |
| `moves`            | task, metric, value, value_change, loss, loss_change, effect, fill, images: what becomes of     |
|                    | every task when one channel is switched off                                                     |
"""

from pathlib import Path

import numpy as np
import pandas as pd

from winnow.dashboard.frames.cells import Cell
from winnow.dashboard.frames.explanations import explanation_table, explanations, methods, table_version
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.network import image_layers
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

MOVED = ["task", "metric", "value", "value_change", "loss", "loss_change", "effect", "fill", "images"]


def ranked(work: DerivedJob, method: str, task: str, layer: str = "") -> pd.DataFrame:
    """Return the cells with relevance for a task, the most relevant first: of one layer, or of all that read features.

    Layers that read the images themselves are left out of all; one that is named is shown whatever it reads.
    """
    found = _ranked(work.path, (table_version(work, "relevance"), table_version(work, "usage")), method, task)
    if layer:
        return found[found["layer"] == layer].reset_index(drop=True)
    images = image_layers(work.run)  # red, green and blue are no features that the network made
    return found[~found["layer"].isin(images)].reset_index(drop=True) if images else found


def channel_reliance(work: DerivedJob, method: str, chosen: Cell) -> pd.DataFrame:
    """Return how much each task relies on one cell."""
    every = explanation_table(work, "relevance")
    every = every[every["method"] == method]
    sums = every.groupby("task", sort=False)["relevance"].sum()
    own = every[(every["channel"] == chosen.channel) & (every["layer"] == chosen.layer)].set_index("task")
    scale = 100 / sums.reindex(own.index).where(lambda found: found > 0)
    parts = {"part": own["relevance"] * scale, "low": own["low"] * scale, "high": own["high"] * scale}
    shares = _shares(work, method, chosen, [str(task) for task in own.index])
    return pd.DataFrame(parts).assign(**shares).reset_index()


def use(work: DerivedJob, chosen: Cell) -> pd.Series | None:
    """Return the row of one cell in the table of usage, None where there is none."""
    used = explanation_table(work, "usage")
    own = used[(used["channel"] == chosen.channel) & (used["layer"] == chosen.layer)]
    return own.iloc[0] if len(own) else None


def moves(run: Run, work: DerivedJob, chosen: Cell) -> pd.DataFrame:
    """Return what switching one channel off does to every task; no rows where that was not measured.

    The explanation's own ablation counts first; one of another explanation serves if it is of the same checkpoint.
    """
    step = _step(work)
    for source in (work, *(other for other in explanations(run) if other.id != work.id)):
        known = explanation_table(source, "ablation")
        own = known[(known["channel"] == chosen.channel) & (known["layer"] == chosen.layer) & (known["group"] == "")]
        if len(own) and (step is None or int(own["step"].iloc[0]) == step):
            return own[MOVED].reset_index(drop=True)
    return pd.DataFrame(columns=MOVED)


def _step(work: DerivedJob) -> int | None:
    """Return the checkpoint that an explanation is of, None where it has not ablated anything yet."""
    known = explanation_table(work, "ablation")
    return int(known["step"].iloc[0]) if len(known) else None


def _shares(work: DerivedJob, method: str, chosen: Cell, tasks: list[str]) -> dict[str, list[float]]:
    """Return the cell's share of each task with its interval; the table of usage is of the first method."""
    row = use(work, chosen) if method == next(iter(methods(work)), None) else None
    ends = {"share": "share_", "share_low": "low_share_", "share_high": "high_share_"}
    return {
        name: [np.nan if row is None else float(row[f"{prefix}{task}"]) for task in tasks]
        for name, prefix in ends.items()
    }


@latest(32)
def _ranked(path: Path, _versions: tuple[Version, ...], method: str, task: str) -> pd.DataFrame:
    work = DerivedJob(path)
    every = explanation_table(work, "relevance")
    own = every[(every["method"] == method) & (every["task"] == task)]
    own = own.assign(part=100 * own["relevance"] / (own["relevance"].sum() or 1.0))
    named = own.merge(
        explanation_table(work, "usage")[["layer", "channel", "label"]], on=["layer", "channel"], how="left"
    )
    living = named[named["relevance"] > 0].sort_values("relevance", ascending=False, kind="stable")
    return living[["layer", "channel", "relevance", "low", "high", "part", "label"]].reset_index(drop=True)
