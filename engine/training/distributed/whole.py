"""A sum over the processes that each can send backward: the loss of a batch from the losses of its slices.

Its value is that of the whole batch, so that whatever weighs the tasks by their losses weighs them alike everywhere.
Its gradient is that of the own slice: gradients are summed over the processes once, at the end of the step.
"""

from typing import Any

import torch
from torch import Tensor

from winnow.engine.training.distributed.ranks import Ranks


def whole_batch(ranks: Ranks, parts: Tensor) -> Tensor:
    """Return the sum of `parts` over the processes, differentiable with respect to those of this one."""
    if ranks.count == 1:
        return parts
    summed: Tensor = _Whole.apply(parts, ranks)  # type: ignore[no-untyped-call]
    return summed


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: Tensor, ranks: Ranks) -> Tensor:
        return ranks.sum_(parts.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
