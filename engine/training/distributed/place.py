"""The rank of a process among those that train one network together, as torchrun says. Free of torch.

    torchrun --nproc-per-node N -m winnow.engine.jobs.worker RUN

starts N processes, on one machine or on several that share the runs folder. Each reads its rank from its environment.
Rank 0 holds the run's lock and alone writes; the others only compute (engine.jobs.other_ranks).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass


class RankLostError(RuntimeError):
    """Another process of this run has ended, so this one can't continue: the run is lost, and can be resumed."""


@dataclass(frozen=True)
class RankPlace:
    """A process's rank among all, how many there are, and the same on its own machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


def place(environment: Mapping[str, str] = os.environ) -> RankPlace:
    """Return the place of this process: the only one, unless torchrun started it."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return RankPlace()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, count, local_rank, local_count = (int(environment[name]) for name in names)
    return RankPlace(rank, count, local_rank, local_count)
