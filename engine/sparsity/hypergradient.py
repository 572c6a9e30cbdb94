"""How a loss moves with the strength λ: the derivative of the proximal step, and its decayed sum over past steps.

The step scales each living group by its own threshold, so that w⁺ depends on λ directly. For the group lasso with one
step length s for all members, w⁺_g = w̃_g (1 − s λ c_g / ‖w̃_g‖), and therefore

    dw⁺_g/dλ = −s c_g w̃_g/‖w̃_g‖,     dL(w⁺)/dλ = Σ_living ⟨∇_g L(w⁺), dw⁺_g/dλ⟩,

with the step length s that the optimiser's own metric has: η for SGD, η (1−dampening)/(1−μ) with momentum, η/D_g for
Adam and AdamW. L is a loss that the step did not see. The formula is ours. That a strength of sparsity can be learned
in an outer loop is the idea of meta-sparsity (arXiv 2501.12115).

With one length s_m per member (coupled groups, rates of their own) a group shrinks by θ/(θ + s_m b), b = λ c_g, θ =
‖w⁺_g‖. With q_m = ‖w⁺_m‖²/(θ² (θ + s_m b)) the root moves by θ' = −Σ q_m s_m / Σ q_m, and

    dw⁺_m/dλ = c_g s_m (θ' b − θ)/(θ + s_m b) · w⁺_m/θ.

For MCP the slope is −s c_g/(1 − s/γ) where the group is shrunk, and 0 where it is not.

One step is greedy: the penalty pays later or never. `ShrinkTrace` holds τ_g, the slope along the group's own direction,

    τ_g ← (1 − ρ) τ_g + (slope of this step),     0 for a group that is dead,

so that Σ_g τ_g ⟨∇_g L, w_g/‖w_g‖⟩ is the derivative with respect to a λ that was higher during the last 1/ρ steps. It
takes the direction of a group as constant and (1 − ρ) in place of the curvature of the training loss (as truncated or
forgetting hypergradients do; Franceschi et al. 2017, arXiv 1703.01785). With ρ = 1 it is the derivative of one step,
exact for groups that do not overlap. Coupled groups overlap: their proxes are taken one after the other, and what one
changes in the norms of the next is left out, an error of the order of the step length, as in the step itself.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from winnow.engine.sparsity import thresholds
from winnow.engine.sparsity.groups import Bank, Joint
from winnow.engine.sparsity.groups.axis import wide
from winnow.engine.sparsity.groups.remaining import Remaining
from winnow.engine.sparsity.penalties import GroupLasso, GroupMCP, Penalty
from winnow.engine.sparsity.preconditioner import Part

Slope = Callable[[Any, "Bank | Joint", Tensor, Tensor, Tensor], Tensor]


def _lasso(penalty: GroupLasso, bank: Bank | Joint, length: Tensor, before: Tensor, after: Tensor) -> Tensor:
    weights = bank.weights(penalty.weights)
    if length.dim() < 2:
        return -length * weights * (after < before)  # where a floor keeps a group, its norm is the same
    if isinstance(bank, Joint):
        raise TypeError("`bank` must be one Bank where each member has its own step length, got several.")
    reach = length * penalty.strength * weights
    squares = torch.stack([axis.squares() for axis in bank.members])
    own = squares / (after.square() * (after + reach)).clamp(min=torch.finfo(after.dtype).tiny)
    root = -(own * length).sum(0) / own.sum(0).clamp(min=torch.finfo(after.dtype).tiny)
    slope = weights * length * (root * penalty.strength * weights - after) / (after + reach)
    rounding = 8 * torch.finfo(after.dtype).eps  # of the root: a group that the floor keeps is not shrunk
    return torch.where(after < before * (1 - rounding), slope.nan_to_num(0.0), 0.0)


def _mcp(penalty: GroupMCP, bank: Bank | Joint, length: Tensor, before: Tensor, after: Tensor) -> Tensor:
    slack = (1 - length / penalty.concavity).clamp(min=0)
    return -length * bank.weights(penalty.weights) * (after < before) / torch.where(slack > 0, slack, 1.0)


SLOPES: Mapping[type, Slope] = MappingProxyType({GroupLasso: _lasso, GroupMCP: _mcp})
"""By penalty, d‖w⁺_g‖/dλ from its bank, step length, and norms before and after; a subclass has a prox of its own."""


def shrink_slope(penalty: Penalty, bank: Bank | Joint, length: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return how far each living group moves along its own direction for a unit of λ, at most 0, in one proximal step.

    Args:
        penalty: the penalty at the strength of the step.
        bank: the groups, after the step.
        length: the step length, (), (channels,), or (members, channels).
        before: norms before the step, (channels,).
        after: norms after it, (channels,).

    Returns:
        (channels,), or (members, channels) for a length per member: dw⁺_m/dλ = slope · w⁺_m/‖w⁺_g‖.

    Raises:
        NotImplementedError: a penalty without such a derivative here.

    """
    if (slope := SLOPES.get(type(penalty))) is None:
        known = " or ".join(kind.__name__ for kind in SLOPES)
        raise NotImplementedError(
            f"`penalty` must be {known} for a strength that is learned, got {type(penalty).__name__}. Give a strength."
        )
    return slope(penalty, bank, length, before, after) * (after > 0)


class ShrinkTrace:
    """τ: how far the groups would lie from where they are along their own directions, had λ been larger by a unit.

    `shrunk` holds it per bank, (channels,), or (members, channels) where members have step lengths of their own; None
    before the first step.

    Args:
        forgetting: ρ in (0, 1]; 1 is the one-step derivative.

    """

    def __init__(self, forgetting: float) -> None:
        if not 0 < forgetting <= 1:
            raise ValueError(f"`forgetting` must be in (0, 1], got {forgetting}.")
        self.forgetting = forgetting
        self.shrunk: dict[int, Tensor] = {}

    def prox_(self, penalty: Penalty, part: Part) -> Tensor:
        """Take the proximal step of some banks, and its derivative into the trace; return the norms afterwards.

        Raises:
            NotImplementedError: a penalty without such a derivative, or banks whose norm is kept.

        """
        if part.bank.keeps_norm:
            raise NotImplementedError(
                "`kept` must hold no norms where the strength is learned, got some. Use normalisation plain."
            )
        before = part.bank.norms()
        after = penalty.prox_(part.bank, part.length)
        slope = shrink_slope(penalty, part.bank, part.length, before, after)
        own = (slope,) if slope.dim() == 2 else part.bank.split(slope)
        for place, new, norms in zip(part.places, own, part.bank.split(after), strict=True):
            old = self.shrunk.get(place)
            kept = (1 - self.forgetting) * old if old is not None and old.shape == new.shape else 0.0
            self.shrunk[place] = (kept + new) * (norms > 0)
        return after

    def derivatives(self, banks: Sequence[Bank], gradients: Mapping[Tensor, Tensor]) -> list[Tensor]:
        """Return Σ_g τ_g ⟨∇_g L, w_g/‖w_g‖⟩ of each bank, the derivative of L with respect to the bank's λ: scalars.

        `gradients` holds ∇L by parameter, of the weights as they are; a parameter without one has gradient 0.
        """
        return [self._derivative(place, bank, gradients) for place, bank in enumerate(banks)]

    @torch.no_grad()
    def _derivative(self, place: int, bank: Bank, gradients: Mapping[Tensor, Tensor]) -> Tensor:
        norms, shrunk = bank.norms(), self.shrunk.get(place)
        if shrunk is None or not bank.moves:
            return norms.new_zeros(())
        nothing = torch.zeros_like(norms)
        pulls = [
            axis.sums(wide(gradients[axis.parameter]) * axis.parameter) if axis.parameter in gradients else nothing
            for axis in bank.members
        ]
        along = torch.stack(pulls) if shrunk.dim() == 2 else torch.stack(pulls).sum(0)
        return (shrunk * thresholds.ratio(along, norms.expand_as(along))).sum()

    def cut(self, left: Sequence[Remaining]) -> None:
        """Keep what a removal leaves, of each bank's channels."""
        self.shrunk = {
            number: self.shrunk[own.place][..., own.channels.to(self.shrunk[own.place].device)]
            for number, own in enumerate(left)
            if own.place in self.shrunk
        }

    def regrow(self, left: Sequence[Remaining] | None, banks: Sequence[Bank]) -> None:
        """Put what is left of each bank back on the dense network's channels, zeros elsewhere."""
        grown = {}
        for number, own in enumerate(left or ()):
            if (shrunk := self.shrunk.get(number)) is not None:
                whole = shrunk.new_zeros(*shrunk.shape[:-1], banks[own.place].channels)
                whole[..., own.channels.to(shrunk.device)] = shrunk
                grown[own.place] = whole
        self.shrunk = grown if left is not None else self.shrunk
