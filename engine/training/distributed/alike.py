"""What keeps the processes of a run alike where they must be, and apart where they must not.

Weights are equal by construction. Where they are not (another machine, another build of torch), training would go on
and mean nothing: so they are compared once an epoch. Random numbers of layers (dropout) must differ between slices.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from winnow.engine.training.distributed.ranks import Ranks


class RanksDifferError(ArithmeticError):
    """Processes that train one network hold different weights."""


def refuse_differing(ranks: Ranks, step: int, tensors: Sequence[Tensor]) -> None:
    """Compare the bits of tensors, and the step, between the processes.

    Raises:
        RanksDifferError: they are not those of rank 0 everywhere.

    """
    if ranks.count == 1:
        return
    every = ranks.gathered(torch.stack([_checksum(tensor) for tensor in (torch.tensor([step]), *tensors)]))
    differing = (every != every[0]).any(1).nonzero().flatten().tolist()
    if differing:
        raise RanksDifferError(
            f"the processes of a run must hold the same weights at step {step}, "
            f"got others than those of rank 0 in {', '.join(map(str, differing))}"
        )


def seed_apart(ranks: Ranks, seed: int, step: int) -> None:
    """Seed all processes but rank 0 for this step: a pure function, so that a resumed run draws the same.

    Rank 0 goes on as one alone would, and its checkpoints hold how far it is.
    """
    if not ranks.leads:
        own = np.random.SeedSequence([seed, step, ranks.index])
        torch.manual_seed(int(own.generate_state(1, np.uint64)[0]))


def _checksum(tensor: Tensor) -> Tensor:
    """Return Σ place · byte in whole numbers modulo 2⁶⁴, a scalar on the CPU."""
    content = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return (content * torch.arange(1, len(content) + 1, device=content.device)).sum().cpu()
