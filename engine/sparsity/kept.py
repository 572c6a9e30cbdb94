"""What a proximal step must keep: a floor of living groups in each layer, and the norms of weights under batch norm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from winnow.engine.sparsity.groups import Bank


@dataclass(frozen=True)
class Kept:
    """What a proximal step must keep.

    `floor`: the share of each layer's groups that always live, at least one where it is positive; 0 lets layers die.
    `norms`: weights that keep the norm they have now, those of convolutions in front of a batch norm.

    Examples:
        >>> import torch
        >>> net = nn.Linear(4, 2)
        >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> from winnow.engine import GroupLasso, Proximal, input_groups
        >>> optimizer = Proximal(sgd, input_groups(net), GroupLasso(10.0), Kept(floor=0.5))
        >>> net(torch.ones(1, 4)).square().sum().backward()
        >>> optimizer.step()
        >>> int((optimizer.norms[0] > 0).sum())  # half of the layer's groups
        2

    """

    floor: float = 0.0
    norms: Sequence[nn.Parameter] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= 1:
            raise ValueError(f"`floor` must be in [0, 1], got {self.floor}.")

    def mark(self, bank: Bank) -> None:
        """Tell a bank what of it must be kept."""
        bank.floor = min(max(1, math.ceil(self.floor * bank.count)), bank.count) if self.floor else 0
        whole = len(bank.all_members) == 1 and bank.count == bank.channels
        if whole and any(bank.parameters[0] is kept for kept in self.norms):
            bank.radius = float(bank.norms().norm())
