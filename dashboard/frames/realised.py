"""What of a run has been removed in fact: measured on the network of its newest pruning that ended well."""

from dataclasses import dataclass

import numpy as np

from winnow.dashboard.frames.before_after import costs
from winnow.engine.runs.derived import newest_job
from winnow.engine.runs.run import Run


@dataclass(frozen=True)
class Realised:
    """What a pruning saves of the whole network [%]; NaN where it was not measured.

    The latency is that of the smallest batch in eager mode, and NaN where the machine was busy.
    """

    pruning: str
    parameters: float
    macs: float
    latency: float


def realised(run: Run) -> Realised | None:
    """Return what the newest pruning of a run saves, None where nothing has been removed."""
    found = newest_job(run, "prune")
    if found is None:
        return None
    known = costs(found)
    timed = known[(known["quantity"] == "latency") & (known["backend"] == "eager") & known["steady"].astype(bool)]
    left = {
        "parameters": known.loc[known["quantity"] == "parameters", "left"],
        "macs": known.loc[known["quantity"] == "macs", "left"],
        "latency": timed.sort_values("batch")["left"],
    }
    return Realised(found.id, **{name: 100 - float(own.iloc[0]) if len(own) else np.nan for name, own in left.items()})
