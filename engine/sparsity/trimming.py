"""A group lasso that only the weakest groups carry, so that those that stay do not shrink.

A plain penalty pulls at every group. To zero most of them in few steps, λ must rise until the groups that will stay
have lost most of their norm too, and with it what they had learned. The trimmed ℓ1 penalty (Yun, Zheng, Yang, Lozano &
Aravkin, ICML 2019, arXiv 1805.07495) leaves the h largest entries free. Here entries are groups, and the order is that
of their LAMP scores (Lee et al. 2021, arXiv 2010.07611), over all layers:

    R_t(w) = λ Σ_{g ∈ S_t} c_g ‖w_g‖₂,      S_t the weakest groups before step t, `weakest` % of all
    s_g = ‖w_g‖² / Σ ‖w_h‖²                 over the groups h of its layer with ‖w_h‖ ≥ ‖w_g‖

Norms of different layers do not compare: behind a batch norm the scale of a layer is free, and ‖w_g‖/√|g| is large
where groups are small. A score is what a layer would lose, so that none is emptied first. S_t is chosen anew at each
step: a group that grows past others is free again. Given S_t, R_t is a group lasso, and its prox is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.engine.sparsity import thresholds
from winnow.engine.sparsity.counts import KEPT_BY_FLOOR, with_floor
from winnow.engine.sparsity.groups import Bank, Joint
from winnow.engine.sparsity.penalties import GroupLasso


@dataclass(frozen=True)
class TrimmedGroupLasso(GroupLasso):
    """λ Σ c_g ‖w_g‖₂ over the `weakest` % of the groups: the others are not penalised, and do not shrink.

    `Proximal` chooses the groups before each step, by `choose`. Until then, and with 100 %, it is the group lasso. A
    controller with a target moves `weakest` with it.

    Raises:
        ValueError: as `GroupLasso`; `weakest` is not in [0, 100].

    Examples:
        >>> net = nn.Linear(2, 1, bias=False)
        >>> net.weight.data[:] = torch.tensor([[1.0, 2.0]])
        >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> optimizer = Proximal(sgd, input_groups(net), TrimmedGroupLasso(99.0, weakest=50.0))
        >>> (0 * net(torch.ones(1, 2))).sum().backward()
        >>> optimizer.step()
        >>> net.weight.tolist()
        [[0.0, 2.0]]

    """

    weakest: float = 70.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.weakest <= 100:
            raise ValueError(f"`weakest` must be in [0, 100], got {self.weakest}.")

    def choose(self, banks: Sequence[Bank], norms: Sequence[Tensor], gone: int = 0) -> None:
        """Mark the weakest groups of all banks by their norms, (channels,) per bank; `gone` were removed before.

        What a floor keeps is never marked, nor is what cannot move.
        """
        device = norms[0].device
        scores = torch.cat([lamp_scores(bank, own).to(device) for bank, own in zip(banks, norms, strict=True)])
        every = gone + sum(bank.count for bank in banks if bank.moves)
        count = max(round(self.weakest / 100 * every) - gone, 0)
        weak = torch.zeros_like(scores, dtype=torch.bool)
        weak[scores.argsort(stable=True)[:count]] = True
        weak &= scores < KEPT_BY_FLOOR  # NaN is none of them
        for bank, own in zip(banks, torch.split(weak, [bank.channels for bank in banks]), strict=True):
            bank.free = ~own.to(bank.present.device)

    def firmness(self, bank: Bank, gradients: Sequence[Tensor]) -> Tensor:
        """Return ‖∇_g F‖ / (λ c_g) for every group: a zero is among the weakest."""
        return thresholds.pull(bank, gradients, super()._bound(bank))

    def _bound(self, bank: Bank | Joint) -> Tensor:
        """Return λ c_g, 0 for groups that are not among the weakest: (channels,)."""
        bound = super()._bound(bank)
        free = [part.free for part in bank.parts if part.free is not None]
        return bound.masked_fill(torch.cat(free), 0.0) if free else bound


def lamp_scores(bank: Bank, norms: Tensor) -> Tensor:
    """Return s_g in [0, 1], (channels,): 1 for the largest group of a layer, 0 for the dead; above for the floor."""
    squares, order = torch.where(bank.present, norms, 0.0).double().square().sort(descending=True, stable=True)
    sums = squares.cumsum(0)
    scores = torch.zeros_like(squares).scatter_(0, order, squares / sums.masked_fill(sums == 0, 1))
    return with_floor(bank, scores)
