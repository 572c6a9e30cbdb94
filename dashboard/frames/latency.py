"""How fast are the networks of a study once what is zero is gone? As the study timed them (engine.studies.latency).

| function    | rows        | columns                                                                                  |
|-------------|-------------|------------------------------------------------------------------------------------------|
| `latencies` | arm × batch | arm, tasks, balancing, batch, before and after [ms]: medians over runs of their medians; |
|             |             | runs; quiet: whether the machine was, in all of them                                     |
"""

import pandas as pd

from winnow.dashboard.frames.studies import WHO, table
from winnow.dashboard.shared.formatting import level_word
from winnow.engine.runs.study import Study

COLUMNS = ["arm", "tasks", "balancing", "batch", "before", "after", "runs", "quiet"]


def latencies(study: Study) -> pd.DataFrame:
    """Return the times of one forward pass before and after what is zero was removed, none where nothing was timed."""
    known = table(study, "latency")
    own = known[(known["quantity"] == "latency") & (known["backend"] == "eager")]
    rows = []
    for who, cells in own.groupby([*WHO, "batch"], sort=False):
        arm, subset, balancing, of, level, batch = who
        times = {name: 1000 * cells.loc[cells["model"] == name, "value"].astype(float) for name in ("dense", "pruned")}
        said = f"{arm}, {level_word(str(of), float(str(level)))}" if of else arm
        medians = [times["dense"].median(), times["pruned"].median()]
        rows.append([said, subset, balancing, int(str(batch)), *medians, cells["run"].nunique(), cells["steady"].all()])
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))
