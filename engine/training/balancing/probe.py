"""Static weights that a short probe finds: task gradients of equal length, fixed for the rest of the training.

    in the first n steps   q_t ← mean of ‖g_t‖² over the steps in which task t had labels,   w_t = K q_t^−½ / Σ_s q_s^−½
    from then on           w as it is

g_t is the gradient of the unweighted loss at the shared features (or parameters). The weights are used from the first
step on, so that the gradients of the probe are those of a training that they belong to. Rows of equal length are within
√K of the scaling that makes the task gradients best conditioned (van der Sluis 1969, Numer. Math. 14): no search over
weights can gain more than that. That well-chosen static weights match methods that move them at every step is what Xin
et al. 2022 (arXiv 2209.11379) and AutoScale (arXiv 2508.13979, which picks them by such measures of the gradients)
found. After the probe a step costs what one with static weights costs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from winnow.engine.specs.balancing import Scope
from winnow.engine.training.balancing.gramian import refuse_nonfinite
from winnow.engine.training.balancing.losses import LossBalancer


class Probed(LossBalancer):
    """Weights from `steps` steps of probe; a task that had no label in them weighs 1."""

    squares: Tensor
    seen: Tensor
    taken: Tensor

    def __init__(self, tasks: Sequence[str], steps: int = 100, scope: Scope = "features") -> None:
        super().__init__(tasks, scope)
        self.steps = steps
        self.register_buffer("squares", torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(len(tasks), dtype=torch.int64))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))

    @property
    def probing(self) -> bool:
        """Whether the probe lasts."""
        return int(self.taken) < self.steps

    def weights(self, values: Tensor) -> Tensor:
        """Return the weights found so far."""
        return probed_weights(self.squares, self.seen).to(values)

    def take(self, products: Tensor, values: Tensor) -> None:
        """Take in the lengths of the task gradients."""
        refuse_nonfinite(products, self.tasks)
        squares = products.diagonal().to(self.squares)
        known = (values != 0).to(squares.device) & (squares > 0)
        self.squares += torch.where(known, squares, 0)
        self.seen += known
        self.taken += 1


def probed_weights(squares: Tensor, seen: Tensor) -> Tensor:
    """Return the weights (K,) for sums of squared lengths over the steps seen; their mean is 1."""
    known = seen > 0
    inverse = torch.where(known, (squares / seen.clamp(min=1)).clamp(min=torch.finfo(squares.dtype).tiny).rsqrt(), 0)
    scaled = inverse * known.sum() / inverse.sum().clamp(min=torch.finfo(squares.dtype).tiny)
    return torch.where(known, scaled, 1.0)
