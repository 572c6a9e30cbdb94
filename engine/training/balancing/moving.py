"""Task weights that learn by gradients of their own, outside the network's optimiser."""

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class MovingVector(nn.Module):
    """A vector (K,) moved by Adam against gradients given by hand; value and moments are its state, all buffers.

    Buffers, not parameters: the network's optimiser must not hold them.
    """

    value: Tensor
    mean: Tensor
    square: Tensor
    taken: Tensor

    def __init__(self, start: Tensor, rate: float, decay: float = 0.0) -> None:
        super().__init__()
        self.rate, self.decay = rate, decay
        self.register_buffer("value", start.clone())
        self.register_buffer("mean", torch.zeros_like(start))
        self.register_buffer("square", torch.zeros_like(start))
        self.register_buffer("taken", torch.zeros(()))

    @torch.no_grad()
    def descend(self, gradient: Tensor) -> None:
        """Take one step of Adam."""
        adam(
            [self.value],
            [gradient.to(self.value)],
            [self.mean],
            [self.square],
            [],
            [self.taken],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.rate,
            weight_decay=self.decay,
            eps=1e-8,
            maximize=False,
        )
