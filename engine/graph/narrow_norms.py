"""Functions of smaller models: norms over the channels that are left of a stream, and zeros where a module was.

In a norm, what went counts as zeros, with the old width.

Each shows itself as one function to whoever watches (`torch.overrides`), so that the channel graph knows it as a norm
and more channels can go later. A program that torch.fx draws holds the operations inside.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.overrides import handle_torch_function, has_torch_function

NARROW_LAYERS = ("NarrowLayerNorm", "NarrowRMSNorm", "NarrowGroupNorm", "NarrowOwnNorm", "Zeros")


def narrow_layer_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, widths: tuple[int, int]
) -> Tensor:
    """Return (x − μ)/√(σ² + ε)·γ + β with μ = Σ x / width and σ² = (Σ (x − μ)² + gone · μ²) / width.

    `widths` are the channels that there were, and those that are left.
    """
    if _watched(x):
        return _shown(narrow_layer_norm, x, weight, bias, eps, widths)
    width, left = widths
    kept = _wide(x)
    mean = kept.sum(-1, keepdim=True) / width
    kept = kept - mean
    squares = kept.square().sum(-1, keepdim=True) + (width - left) * mean.square()
    normal = kept * torch.rsqrt(squares / width + eps)
    normal = normal if weight is None else normal * weight
    return (normal if bias is None else normal + bias).to(x.dtype)


def narrow_rms_norm(x: Tensor, weight: Tensor | None, eps: float, width: int) -> Tensor:
    """Return x/√(Σ x² / width + ε)·γ."""
    if _watched(x):
        return _shown(narrow_rms_norm, x, weight, eps, width)
    kept = _wide(x)
    squares = kept.square().sum(-1, keepdim=True)
    normal = kept * torch.rsqrt(squares / width + eps)
    return (normal if weight is None else normal * weight).to(x.dtype)


def narrow_group_norm(
    x: Tensor, affine: tuple[Tensor, Tensor], eps: float, groups: tuple[Tensor, Tensor], width: int
) -> Tensor:
    """Return a layer norm of each group of channels over all places, with the old width of a group.

    `groups` are the owner of each channel (channels left, groups), one-hot, and how many channels each group lost.
    """
    if _watched(x):
        return _shown(narrow_group_norm, x, affine, eps, groups, width)
    kept = _wide(x).flatten(2) if x.dim() > 2 else _wide(x).unsqueeze(2)
    owner, gone = (part.to(kept.dtype) for part in groups)
    means = kept.mean(2) @ owner / width
    kept = kept - (means @ owner.T).unsqueeze(2)
    squares = (kept.square().mean(2) @ owner + gone * means.square()) / width
    kept = kept * (torch.rsqrt(squares + eps) @ owner.T).unsqueeze(2)
    kept = kept * affine[0].unsqueeze(1) + affine[1].unsqueeze(1)
    return kept.reshape(x.shape).to(x.dtype)


def own_norm(x: Tensor, weight: Tensor, bias: Tensor | None, axis: int, plain: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what a norm of the user's own (`plain`) gives; whoever watches sees one operation."""
    if _watched(x):
        return _shown(own_norm, x, weight, bias, axis, plain)
    return plain(x)


def zeros_instead(x: Tensor, width: int) -> Tensor:
    """Return zeros (…, width) for a tensor (…, C)."""
    if _watched(x):
        return _shown(zeros_instead, x, width)
    return x.new_zeros((*x.shape[:-1], width))


def _watched(x: Any) -> bool:
    return not isinstance(x, fx.Proxy) and has_torch_function((x,))


def _shown(function: Callable[..., Tensor], x: Tensor, *rest: Any) -> Tensor:
    found: Tensor = handle_torch_function(function, (x,), x, *rest)
    return found


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
