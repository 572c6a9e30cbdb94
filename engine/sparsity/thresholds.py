"""The arithmetic that penalties share: thresholds on the entries and on the norms of a bank's groups.

With one step length per member, a group shrinks by different factors θ/(θ + t_m), t_m = s_m b: θ = ‖z‖ is the root of
Σ_m ‖w_m‖²/(θ + t_m)² = 1. The left side falls and is convex, so that Newton's method, started left of the root, rises
to it without overshooting. The group is zero iff Σ_m ‖w_m‖²/t_m² ≤ 1: the root is then not positive.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from winnow.engine.sparsity.groups import Axis, Bank

NEWTON = 12  # iterations; the error squares in each


@torch.no_grad()
def shrink_(bank: Bank, step: Tensor, bound: Tensor) -> Tensor:
    """Apply the prox of Σ_g b_g ‖w_g‖ in place; `step` as in engine.sparsity.penalties. Return the norms afterwards."""
    if step.dim() == 2:
        return _shrink_in_blocks_(bank, step, bound)
    norms = bank.norms()
    return rescale_(bank, norms, (norms - step * bound).clamp_(min=0))


@torch.no_grad()
def rescale_(bank: Bank, norms: Tensor, shrunk: Tensor) -> Tensor:
    """Scale the groups from `norms` to `shrunk`, within what the bank wants kept; return the norms afterwards.

    Where fewer than `bank.floor` groups would live, its largest ones are not shrunk. Where the bank has a `radius`,
    the survivors are scaled so that all groups together keep that norm.
    """
    if bank.floor and int((shrunk > 0).sum()) < bank.floor:
        kept = norms.topk(bank.floor).indices
        shrunk = shrunk.index_copy(0, kept, norms[kept])
    if bank.radius is not None:
        shrunk = shrunk * (bank.radius / shrunk.norm().clamp(min=1e-12))
    bank.scale_(shrunk / norms.masked_fill(norms == 0, 1))
    return shrunk


def _shrink_in_blocks_(bank: Bank, step: Tensor, bound: Tensor) -> Tensor:
    squares = torch.stack([axis.squares() for axis in bank.members])
    thresholds = step * bound
    alive = (squares / thresholds.square().clamp(min=1e-60)).sum(0) > 1
    if bank.floor and int(alive.sum()) < bank.floor:
        kept = squares.sum(0).topk(bank.floor).indices
        thresholds, alive = thresholds.index_fill(1, kept, 0.0), alive.index_fill(0, kept, True)
    norm = (squares.sum(0).sqrt() - thresholds.amax(0)).clamp(min=0)
    for _ in range(NEWTON):
        parts = squares / (norm + thresholds).square().clamp(min=1e-60)
        slope = 2 * (parts / (norm + thresholds).clamp(min=1e-30)).sum(0)
        norm = norm + (parts.sum(0) - 1).clamp(min=0) / slope.clamp(min=1e-30)
    norm = norm * alive
    factors = norm / (norm + thresholds).masked_fill(~alive, 1)
    bank.scale_(factors)
    return norm


@torch.no_grad()
def soften_(bank: Bank, level: Tensor) -> None:
    """Move every entry towards zero by its channel's level, in place; a level per member where it has two axes.

    The `bank.floor` largest groups are left alone, or no entry of a layer might survive.
    """
    levels = level.expand(len(bank.members), -1)
    if bank.floor:
        levels = levels.index_fill(1, bank.norms().topk(bank.floor).indices, 0.0)
    for axis, own in zip(bank.members, levels, strict=True):
        view, spread = axis.spread(own, axis.parameter)
        view.copy_(_soft(view, spread))


@torch.no_grad()
def softened(bank: Bank, tensors: Sequence[Tensor], level: Tensor) -> list[Tensor]:
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
    """Return the gradients of the bank's parameters, zeros where there is none."""
    return [gradient(parameter) for parameter in bank.parameters]


def gradient(parameter: nn.Parameter) -> Tensor:
    """Return the gradient of a parameter, zeros where there is none."""
    return parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)


@torch.no_grad()
def absolute(bank: Bank) -> Tensor:
    """Return ‖w_g‖₁: (channels,)."""
    return bank.sums([parameter.abs() for parameter in bank.parameters])


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


def _soft(values: Tensor, level: Tensor) -> Tensor:
    return values.sign() * (values.abs() - level).clamp(min=0)
