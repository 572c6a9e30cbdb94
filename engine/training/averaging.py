"""Running means of the weights over the last steps: where a training is heading, without the noise of its steps.

At a high rate the weights bounce around the point that they approach. There any shrinkage lowers a loss, as it shrinks
the bouncing too, and a loss hides what is lost meanwhile. At the mean of the weights (Polyak & Juditsky 1992) it does
not: the loss there is close to that at the end of the schedule.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightMeans:
    """w̄ ← w̄ + (w − w̄)/min(steps, horizon) for all parameters of a network; it begins anew after a removal."""

    def __init__(self, horizon: float) -> None:
        self.horizon = horizon
        self.values: dict[str, Tensor] = {}

    @torch.no_grad()
    def follow(self, net: nn.Module, steps: int) -> None:
        """Take in the weights after so many steps."""
        own = {name: parameter.detach() for name, parameter in net.named_parameters()}
        known = {name: value.shape for name, value in self.values.items()}
        if known != {name: value.shape for name, value in own.items()}:
            self.values = {name: value.clone() for name, value in own.items()}
            return
        held = [self.values[name] for name in own]  # a checkpoint has them in another order
        torch._foreach_lerp_(held, list(own.values()), 1 / min(max(steps, 1), self.horizon))

    @contextmanager
    def in_place(self, net: nn.Module) -> Iterator[None]:
        """Let the network have the means as its weights within the context."""
        self._swap(net)
        try:
            yield
        finally:
            self._swap(net)

    def _swap(self, net: nn.Module) -> None:
        for name, parameter in net.named_parameters():
            parameter.data, self.values[name] = self.values[name], parameter.data
