"""GradNorm: weighted gradients of all tasks as long as their pace of training asks for (Chen et al., 1711.02257).

    G_t = ‖w_t g_t‖,   r_t = (L_t/L_t(0)) / mean of it,   target_t = mean(G) · r_t^α,
    w ← Adam step against the gradient of Σ |G_t − target_t| with the targets held fixed, then scaled to Σ w_t = K

G_t are taken relative to their mean, so that the step of w is the same at any scale of the losses. L_t(0) is the loss
at the first batch with labels: heads that start at the best constant make it a fair one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from winnow.engine.specs.balancing import Scope
from winnow.engine.training.balancing.gramian import GramianBalancer, refuse_nonfinite
from winnow.engine.training.balancing.moving import MovingVector

LEAST = 0.01  # a weight at 0 would have no gradient to come back by


class GradNorm(GramianBalancer):
    """Learned weights, the same in heads and trunk. A task without labels takes no part in the step of w."""

    first: Tensor

    def __init__(
        self, tasks: Sequence[str], asymmetry: float = 1.5, rate: float = 0.025, scope: Scope = "features"
    ) -> None:
        super().__init__(tasks, torch.diagonal, scope)
        self.asymmetry = asymmetry
        self.learned = MovingVector(torch.ones(len(tasks)), rate)
        self.register_buffer("first", torch.zeros(len(tasks)))  # 0: not seen yet

    def scales(self, values: Tensor) -> Tensor:
        """Return the present weights."""
        return self.learned.value.to(values)

    @torch.no_grad()
    def weigh(self, products: Tensor, values: Tensor) -> Tensor:
        """Return the present weights, then move them."""
        refuse_nonfinite(products, self.tasks)
        self.refuse_negative(values, "gradnorm")
        weights = self.learned.value.double().cpu()
        values = values.double().cpu()
        first = self.first.cpu()
        first = torch.where(first == 0, values.to(first), first)
        self.first.copy_(first)
        lengths = products.diagonal().sqrt()
        present = (lengths > 0) & (values > 0)
        if present.any():
            pace = torch.where(present, values / first.double(), 0)
            self._move(weights, lengths * present, pace, present)
        return weights

    def _move(self, weights: Tensor, lengths: Tensor, pace: Tensor, present: Tensor) -> None:
        """Take the step of w for gradient lengths ‖g_t‖ and losses L_t/L_t(0), both 0 where not present."""
        count = present.sum()
        weighted = weights * lengths
        mean = weighted.sum() / count
        target = mean * (pace / (pace.sum() / count)) ** self.asymmetry
        gradient = torch.sign(weighted - target) * lengths / mean * present
        self.learned.descend(gradient)
        value = self.learned.value.clamp_(min=LEAST)
        value *= len(value) / value.sum()
