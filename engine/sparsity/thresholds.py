"""The arithmetic that penalties share: thresholds on the entries and on the norms of a bank's groups.

With one step length per member, a group shrinks by different factors θ/(θ + t_m), t_m = s_m b: θ = ‖z‖ is the root of
φ(θ) = Σ_m ‖w_m‖²/(θ + t_m)² = 1. The group is zero iff φ(0) ≤ 1: the root is then not positive. Newton's method runs on
1/√φ(θ) = 1: the left side rises and is concave (a power mean of the (θ + t_m)/‖w_m‖, which are linear), so that it
climbs to the root from the left without overshooting, and meets it in one step where all lengths are equal. It starts
at a bound from below, max(‖w‖ − max_m t_m, max_m (‖w_m‖ − t_m), 0).

Nothing is divided by a small constant: a threshold of 0 (λ = 0, or a length of 0) leaves the weights their bits, and a
group that is zero stays so. What is NaN or infinite stays that: it is never taken for a zero.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from winnow.engine.sparsity.groups import Axis, Bank, Joint
from winnow.engine.sparsity.groups.axis import wide
from winnow.engine.sparsity.groups.bank import softened as _soft

NEWTON = 10  # iterations; the error squares in each


@torch.no_grad()
def shrink_(bank: Bank | Joint, step: Tensor, bound: Tensor) -> Tensor:
    """Apply the prox of Σ_g b_g ‖w_g‖ in place; `step` as in engine.sparsity.penalties. Return the norms afterwards."""
    if step.dim() == 2:
        if isinstance(bank, Joint):
            raise TypeError("`bank` must be one Bank where each member has its own step length, got several.")
        return _shrink_in_blocks_(bank, step, bound)
    norms = bank.norms()
    thresholds = step * bound
    return rescale_(bank, norms, (norms - thresholds).clamp_(min=0), thresholds)


@torch.no_grad()
def rescale_(bank: Bank | Joint, norms: Tensor, shrunk: Tensor, thresholds: Tensor) -> Tensor:
    """Scale the groups from `norms` to `shrunk`, within what the bank wants kept; return the norms afterwards.

    Where fewer than `bank.floor` groups would live, its largest ones are not shrunk. Where the bank has a `radius`,
    the survivors are scaled so that all groups together keep that norm. A norm of 0 may be one that is too small to
    square: a threshold makes it an exact zero, no threshold leaves the weights as they are.
    """
    shrunk = bank.kept(norms, shrunk)
    bank.scale_(torch.where(norms == 0, (thresholds == 0).to(norms), shrunk / norms.masked_fill(norms == 0, 1)))
    return shrunk


def _shrink_in_blocks_(bank: Bank, step: Tensor, bound: Tensor) -> Tensor:
    squares = torch.stack([axis.squares() for axis in bank.members])
    norms, thresholds = squares.sqrt(), step * bound
    alive = ~(_over(norms, thresholds).square().sum(0) <= 1)  # so that NaN is alive
    if (spared := bank.spared(squares.sum(0), alive)) is not None:
        thresholds, alive = thresholds.masked_fill(spared, 0.0), alive | spared
    norm = _root(norms, thresholds) * alive
    bank.scale_(torch.where(alive | (thresholds == 0), _over(norm, norm + thresholds, 1.0), 0.0))
    return norm


def _root(norms: Tensor, thresholds: Tensor) -> Tensor:
    """Return θ with Σ_m n_m²/(θ + t_m)² = 1 of groups that live, (channels,), from (members, channels)."""
    least = norms.square().sum(0).sqrt() - thresholds.amax(0)
    root = torch.maximum(least, (norms - thresholds).amax(0)).clamp(min=0)
    for _ in range(NEWTON):
        parts = _over(norms, root + thresholds)
        whole = parts.square().sum(0).sqrt()
        slope = _over(parts.square(), root + thresholds).sum(0)
        root = root + _over(whole.square() * (whole - 1).clamp(min=0), slope)
    return root


def _over(values: Tensor, divisors: Tensor, nothing: float = 0.0) -> Tensor:
    """Return values / divisors; for 0 / 0 return `nothing`."""
    return (values / divisors).masked_fill((values == 0) & (divisors == 0), nothing)


@torch.no_grad()
def soften(bank: Bank, tensors: Sequence[Tensor], level: Tensor) -> list[Tensor]:
    """Return tensors of the parameters' shapes with every entry moved towards zero by its channel's level."""
    return [
        _placed(axis, own, _soft(view, spread))
        for axis, (own, view, spread) in zip(bank.members, _spread(bank, tensors, level), strict=True)
    ]


@torch.no_grad()
def entry_subgradients(bank: Bank, gradients: Sequence[Tensor], level: Tensor) -> list[Tensor]:
    """Return ∇ + level · sign(w) where w ≠ 0, and where w = 0 what the gradient exceeds the level by."""
    moved = []
    for axis, (own, view, spread) in zip(bank.members, _spread(bank, gradients, level), strict=True):
        weights = axis.view(axis.parameter)
        moved.append(_placed(axis, own, torch.where(weights == 0, _soft(view, spread), view + spread * weights.sign())))
    return moved


@torch.no_grad()
def distance(bank: Bank, gradients: Sequence[Tensor], norms: Tensor, slope: Tensor) -> Tensor:
    """Return ‖∇_g + slope · w_g/‖w_g‖‖ where w_g ≠ 0, and max(0, ‖∇_g‖ − slope) where w_g = 0: (channels,)."""
    factors = slope / norms.masked_fill(norms == 0, 1)
    moved = [
        gradient + _placed(axis, gradient, view * spread)
        for axis, gradient, (_, view, spread) in zip(
            bank.members, gradients, _spread(bank, bank.parameters, factors), strict=True
        )
    ]
    lengths = bank.sums([tensor.square() for tensor in moved]).sqrt()
    return torch.where(norms > 0, lengths, (lengths - slope).clamp(min=0))


def gradients(bank: Bank) -> list[Tensor]:
    """Return the gradients of the bank's parameters, zeros where there is none, in float32 at least."""
    return [gradient(parameter) for parameter in bank.parameters]


def gradient(parameter: nn.Parameter) -> Tensor:
    """Return the gradient of a parameter, zeros where there is none, in float32 at least."""
    return wide(parameter.grad if parameter.grad is not None else torch.zeros_like(parameter).detach())


@torch.no_grad()
def absolute(bank: Bank) -> Tensor:
    """Return ‖w_g‖₁: (channels,)."""
    return bank.sums([wide(parameter).abs() for parameter in bank.parameters])


def pull(bank: Bank, gradients: Sequence[Tensor], bound: Tensor) -> Tensor:
    """Return ‖∇_g‖ / b_g: (channels,)."""
    return ratio(bank.sums([gradient.square() for gradient in gradients]).sqrt(), bound)


def ratio(values: Tensor, bound: Tensor) -> Tensor:
    """Return values / bound, 0 where nothing is penalised."""
    return torch.where(bound > 0, values / bound.masked_fill(bound == 0, 1), values.new_zeros(()))


def largest(bank: Bank, tensors: Sequence[Tensor]) -> Tensor:
    """Return the largest absolute entry of each group: (channels,)."""
    found = torch.zeros(bank.channels, dtype=tensors[0].dtype, device=tensors[0].device)
    numbers = torch.arange(bank.channels, device=found.device)
    for _, view, spread in _spread(bank, tensors, numbers):
        found.scatter_reduce_(0, spread.expand_as(view).flatten(), view.abs().flatten(), "amax")
    return found


def _spread(bank: Bank, tensors: Sequence[Tensor], level: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each tensor, its view in blocks, and the levels in a shape that broadcasts against the view."""
    for axis, tensor in zip(bank.members, tensors, strict=True):
        yield tensor, *axis.spread(level, tensor)


def _placed(axis: Axis, like: Tensor, values: Tensor) -> Tensor:
    """Return a tensor of the parameter's shape that holds `values` where the axis has its channels, zeros elsewhere."""
    whole = torch.zeros_like(like)
    axis.view(whole).copy_(values)
    return whole
