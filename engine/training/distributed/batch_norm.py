"""Batch norm over a batch of which each process has a slice, on any device (torch's SyncBatchNorm knows CUDA only).

    μ = Σ_r n_r μ_r / n,    σ² = Σ_r n_r (σ_r² + (μ_r − μ)²) / n,    n = Σ_r n_r       (Chan et al. 1983, in float64)
    ∂L/∂x = γ/σ · (g − Σ g/n − x̂ · Σ g x̂/n),    g = ∂L/∂y,   sums over the whole batch

One gather forward, one sum backward. The gradients of γ and β are those of the slice: they are summed over the
processes with all the others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from winnow.engine.training.distributed.ranks import Ranks


@contextmanager
def norms_over_all(net: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Within it, the batch norms of `net` that train use the statistics of all slices of a batch."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and ranks.count > 1]
    for norm in norms:
        norm.forward = partial(_forward, norm, ranks)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _forward(norm: _BatchNorm, ranks: Ranks, x: Tensor) -> Tensor:
    if not norm.training:
        evaluated: Tensor = type(norm).forward(norm, x)
        return evaluated
    apply: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]] = _Normalised.apply  # torch leaves it untyped
    y, mean, variance, count = apply(x, norm.weight, norm.bias, norm.eps, ranks)
    if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
        _remember(norm, mean, variance * (count / (count - 1)))
    return y


@torch.no_grad()
def _remember(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as torch does: by `momentum`, or to the mean of all batches where it is None."""
    seen = norm.num_batches_tracked
    if seen is not None:
        seen.add_(1)
    factor = norm.momentum if norm.momentum is not None else 1.0 / float(seen if seen is not None else 1)
    for running, new in ((norm.running_mean, mean), (norm.running_var, variance)):
        if running is not None:
            running.lerp_(new.to(running), factor)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = _moments(x, ranks)
        y = functional.batch_norm(x, mean.float(), variance.float(), weight, bias, False, 0.0, eps)
        ctx.save_for_backward(x, weight, mean.float(), (variance + eps).rsqrt().float(), count)
        ctx.ranks, ctx.biased = ranks, bias is not None
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        shape = (1, -1, *[1] * (x.dim() - 2))
        dims = [0, *range(2, x.dim())]
        gradient = gradients[0].float()
        normalised = (x.float() - mean.view(shape)) * inverse.view(shape)
        own = torch.stack([gradient.sum(dims), (gradient * normalised).sum(dims)])
        whole = ctx.ranks.sum_(own.clone()) / count
        scale = inverse if weight is None else inverse * weight
        towards = gradient - whole[0].view(shape) - normalised * whole[1].view(shape)
        return (
            (towards * scale.view(shape)).to(x.dtype),
            None if weight is None else own[1],
            own[0] if ctx.biased else None,
            None,
            None,
        )


def _moments(x: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance (C,) and the number of values per channel, of all slices of x (B, C, …), in float64."""
    variance, mean = torch.var_mean(x.float(), [0, *range(2, x.dim())], correction=0)
    count = mean.new_full((1,), x.numel() / x.shape[1])
    every = ranks.gathered(torch.cat([mean, variance, count]).double())
    channels = x.shape[1]
    means, variances, counts = torch.split(every, [channels, channels, 1], 1)
    total = counts.sum()
    middle = (counts * means).sum(0) / total
    spread = (counts * (variances + (means - middle).square())).sum(0) / total
    return middle, spread, total
