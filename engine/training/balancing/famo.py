"""FAMO: all losses fall at the same relative rate, learned from the losses alone (Liu et al., arXiv 2306.03792).

    weights   z = softmax(ξ),   w_t = K c z_t/L_t,   1/c = Σ z_t/L_t              (the paper's, times K)
    after     ξ ← Adam step against Jᵀδ,   δ_t = log L_t(before) − log L_t(after),   J = ∂z/∂ξ

δ needs the losses of the same batch after the step, so the step costs another forward pass: in train mode, as before
it, but with the running statistics of batch norms left alone (`engine.graph.modes.statistics_kept`). The proximal step
is part of what happened in between. TorchJD's FAMO is the judge in the tests; it keeps its Adam state out of
`state_dict`, which a resumed run needs, and knows no unlabelled tasks.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from winnow.engine.specs.balancing import Scope
from winnow.engine.training.balancing.losses import LossBalancer
from winnow.engine.training.balancing.moving import MovingVector

SMALL = 1e-8
DECAY = 1e-3  # of ξ, the paper's γ


class Famo(LossBalancer):
    """Fast adaptive multi-task optimisation. A task without labels takes no part in the step."""

    needs_losses_after_step = True

    def __init__(self, tasks: Sequence[str], rate: float = 0.025, scope: Scope = "features") -> None:
        super().__init__(tasks, scope)
        self.logits = MovingVector(torch.zeros(len(tasks)), rate, DECAY)
        self._before: Tensor | None = None

    def weights(self, values: Tensor) -> Tensor:
        """Return K c z/L, with K the number of labelled tasks."""
        self.refuse_negative(values, "famo")
        self._before = values.clone()
        labelled = values > 0
        shares = labelled * torch.softmax(self.logits.value, 0) / (values + SMALL)
        return shares * labelled.sum() / shares.sum().clamp(min=SMALL)

    @torch.no_grad()
    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        """Move ξ by the change of the log losses."""
        if self._before is None:
            raise ValueError("`after_step` must follow `backward` on the same batch, got no backward before it.")
        before, after = self._before, self.stacked(losses)
        self.refuse_negative(after, "famo")
        change = torch.log(before + SMALL) - torch.log(after + SMALL)
        change = change.masked_fill((before == 0) | (after == 0), 0)
        z = torch.softmax(self.logits.value, 0)
        self.logits.descend(z * (change - (z * change).sum()))
        self._before = None
