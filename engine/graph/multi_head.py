"""Attention as torch's `multi_head_attention_forward` computes it, for any number of heads of one size.

Torch derives the size of a head from the width of its input, so that no head can go. Here the weights say it: packed
(3·h·d, C) or one by one (h·d, C), and an output projection (C, h·d). The channel graph watches this function where a
model calls torch's, and a layer that lost heads runs it.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Return the output (L, B, C) and the attention weights, averaged over the heads if asked, as torch's function.

    Inputs are (L, B, C), or (L, C) without a batch; arguments are those of
    `torch.nn.functional.multi_head_attention_forward`.
    """
    mask, padding = options.get("attn_mask"), options.get("key_padding_mask")
    batched = query.dim() == 3
    if not batched:
        padding = None if padding is None else padding.unsqueeze(0)
        packed = query is key and key is value
        query = query.unsqueeze(1)
        key, value = (query, query) if packed else (key.unsqueeze(1), value.unsqueeze(1))
    separate = None
    if options.get("use_separate_proj_weight"):
        separate = tuple(options[f"{name}_proj_weight"] for name in "qkv")
    causal = bool(options.get("is_causal")) and padding is None and not options.get("need_weights", True)
    projected = _projected((query, key, value), in_proj_weight, separate, in_proj_bias)
    if bias_k is not None and bias_v is not None:
        count = query.shape[1]
        projected = (
            projected[0],
            torch.cat([projected[1], bias_k.expand(-1, count, -1)]),
            torch.cat([projected[2], bias_v.expand(-1, count, -1)]),
        )
    q, k, v = (part.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3) for part in projected)
    if add_zero_attn:
        k, v = (torch.cat([part, torch.zeros_like(part[:, :, :1])], 2) for part in (k, v))
    bias = None if causal else _mask((mask, padding), q, k)
    dropout = dropout_p if options.get("training", True) else 0.0
    if options.get("need_weights", True):
        out, weights = _weighted((q, k, v), bias, dropout)
    else:
        out, weights = F.scaled_dot_product_attention(q, k, v, bias, dropout, causal), None
    out = F.linear(out.permute(2, 0, 1, 3).flatten(-2), out_proj_weight, out_proj_bias)
    if weights is not None and options.get("average_attn_weights", True):
        weights = weights.mean(dim=1)
    if not batched:
        out, weights = out.squeeze(1), None if weights is None else weights.squeeze(0)
    return out, weights


def _projected(
    inputs: tuple[Tensor, Tensor, Tensor],
    packed: Tensor | None,
    separate: tuple[Tensor, ...] | None,
    bias: Tensor | None,
) -> tuple[Tensor, ...]:
    query, key, value = inputs
    if separate is not None:
        found = tuple(F.linear(part, weight) for part, weight in zip(inputs, separate, strict=True))
        shifts = None if bias is None else bias.chunk(3)
        return found if shifts is None else tuple(part + own for part, own in zip(found, shifts, strict=True))
    assert packed is not None  # noqa: S101 - torch's own form has one or the other
    if query is key and key is value:
        return F.linear(query, packed, bias).chunk(3, -1)
    shifts = (None, None, None) if bias is None else bias.chunk(3)
    weights = packed.chunk(3)
    return tuple(F.linear(part, *own) for part, *own in zip(inputs, weights, shifts, strict=True))


def _mask(masks: tuple[Tensor | None, Tensor | None], q: Tensor, k: Tensor) -> Tensor | None:
    """Return what is added to the scores, in a shape that broadcasts with (B, h, L, S)."""
    mask, padding = (_added(part, q) for part in masks)
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (q.shape[0], -1)) if len(mask) > 1 else mask[None]
    if padding is not None:
        padding = padding[:, None, None]
    missing = [0 if part is None else k.shape[2] - part.shape[-1] for part in (mask, padding)]
    mask, padding = (F.pad(part, (0, more)) if part is not None and more else part
                     for part, more in zip((mask, padding), missing, strict=True))  # fmt: skip
    if mask is None or padding is None:
        return padding if mask is None else mask
    return mask + padding


def _added(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """Return a mask as numbers to add: −∞ where it is True."""
    if mask is None or mask.is_floating_point():
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)


def _weighted(parts: tuple[Tensor, Tensor, Tensor], bias: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    q, k, v = parts
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    weights = F.softmax(scores if bias is None else scores + bias, dim=-1)
    if dropout > 0:
        weights = F.dropout(weights, dropout)
    return weights @ v, weights
