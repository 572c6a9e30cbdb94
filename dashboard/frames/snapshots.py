"""The networks that the runs of a path kept on the way (engine.runs.snapshots), reread only when a table is replaced.

One row per network, runs in the order of the plan: run (as the plan calls its level), seed, level [%] and what it is a
share `of`, epoch, the three sparsities [%] of the dense network's penalised layers, the main metric of each task on the
validation images of that epoch, parameters, macs and bytes of the compact network, folder (the whole path).
"""

from pathlib import Path

import pandas as pd

from winnow.dashboard.frames import studies
from winnow.dashboard.frames.file_versions import Version, latest
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.dashboard.frames.summaries import tasks
from winnow.dashboard.shared.formatting import COUNTED, level_word
from winnow.engine.runs.quantities import SPARSITIES, Metric, metric_title
from winnow.engine.runs.snapshots import TABLE_COLUMNS
from winnow.engine.runs.study import Study
from winnow.engine.runs.work_folder import WorkFolder

STORED = {"snapshots": TABLE_COLUMNS, "snapshot_metrics": ("level", "task", "metric", "value")}
COLUMNS = ["run", "seed", "level", "of", "epoch", *SPARSITIES, "parameters", "macs", "bytes", "folder"]


def snapshots(study: Study) -> pd.DataFrame:
    """Return the networks kept on the way by all runs of a study, as far as there are some."""
    members = studies.study_table(study, "members")
    parts = []
    for _, member in members[members["run"] != ""].iterrows():
        run = WorkFolder(study.root / Path(str(member["run"])).name)
        known = _kept(run.path, tuple(stored_version(run, name) for name in STORED))
        said = level_word(str(member["level_of"]), float(member["level"]))
        parts.append(known.assign(run=said, seed=int(member["seed"])))
    found = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS)], ignore_index=True)
    names = {metric_title(task, metric): f"{task}.{metric.name}" for task, metric in tasks(study.spec.base)}
    shown = {name: found.get(own, pd.Series(dtype=float)) for name, own in names.items()}
    place = COLUMNS.index("parameters")
    return found.assign(**shown).reindex(columns=[*COLUMNS[:place], *shown, *COLUMNS[place:]])


def snapshot_metric_columns(study: Study) -> dict[str, Metric]:
    """Return the columns that hold a task's main metric, as name → metric."""
    return {metric_title(task, metric): metric for task, metric in tasks(study.spec.base)}


@latest(256)
def _kept(path: Path, _written: tuple[Version, ...]) -> pd.DataFrame:
    run = WorkFolder(path)
    table, metrics = (stored(run, name, STORED) for name in STORED)
    if table.empty or metrics.empty:
        return pd.DataFrame(columns=COLUMNS)
    names = metrics["task"] + "." + metrics["metric"]
    wide = metrics.assign(name=names).pivot(index="level", columns="name", values="value")
    folders = [str(path / folder) for folder in table["folder"]]
    words = table["of"].map(lambda of: COUNTED[of])
    return table.assign(folder=folders, of=words).join(wide, on="level").drop(columns="step")
