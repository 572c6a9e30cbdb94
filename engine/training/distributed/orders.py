"""What rank 0 tells the others between two parts of the work: go on, with this strength and target; or end.

A user asks things of rank 0 alone: to stop, to pause, to take another strength or target. The others learn of it here,
before every step and every validation, and wait while rank 0 writes or pauses.
"""

import torch

from winnow.engine.sparsity.strength import Controller, Targeted
from winnow.engine.training.distributed.ranks import Ranks


class ToldToEndError(Exception):
    """Rank 0 says that there is nothing more to do."""


def go_on(ranks: Ranks, controller: Controller) -> None:
    """As rank 0, tell the others to go on; as another, wait for that. Strength and target are rank 0's afterwards.

    Raises:
        ToldToEndError: rank 0 has told the others to end.

    """
    if ranks.count == 1:
        return
    target = controller.percent if isinstance(controller, Targeted) else 0.0
    going, base, target = ranks.agree_(torch.tensor([1.0, controller.base, target], dtype=torch.float64)).tolist()
    if not going:
        raise ToldToEndError
    controller.base = base
    if isinstance(controller, Targeted):
        controller.percent = target


def tell_to_end(ranks: Ranks) -> None:
    """As rank 0, tell the others that there is nothing more to do: once, when all is done or somebody asked to stop."""
    if ranks.count > 1:
        ranks.agree_(torch.zeros(3, dtype=torch.float64))
