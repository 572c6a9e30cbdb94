"""What a pruning is asked to do."""

from typing import Literal

from engine.spec import Frozen


class PruneSpec(Frozen):
    """One pruning of a run's network."""

    kind: Literal["prune"] = "prune"
    format_version: Literal[1] = 1
