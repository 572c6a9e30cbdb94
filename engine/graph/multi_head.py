"""Attention as torch's `multi_head_attention_forward` computes it, for any number of heads of one size.

Torch derives the size of a head from the width of its input, so that no head can go. Here the weights say it: packed
(3·h·d, C) or one by one (h·d, C), and an output projection (C, h·d). The channel graph watches this function where a
model calls torch's, and a layer that lost heads runs it.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx
from torch.overrides import has_torch_function

PLACES = (
    "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "add_zero_attn",
    "dropout_p",
    "out_proj_weight", "out_proj_bias", "training", "key_padding_mask", "need_weights", "attn_mask",
    "use_separate_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "static_k", "static_v",
    "average_attn_weights", "is_causal",
)  # fmt: skip


def multi_head_attention(
    query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    """Return the output (L, B, C) and the attention weights, averaged over the heads if asked, as torch's function.

    Inputs are (L, B, C), or (L, C) without a batch; the other arguments are those of
    `torch.nn.functional.multi_head_attention_forward`, by place or by name.
    """
    options = dict(zip(PLACES, args, strict=False)) | kwargs
    mask, padding = options.get("attn_mask"), options.get("key_padding_mask")
    if query.dim() == 2:
        return _unbatched((query, key, value), options)
    wanted = options.get("need_weights", True)
    if options.get("is_causal") and mask is None:
        raise ValueError("`attn_mask` must be given with `is_causal`, got None. Give the mask that it stands for.")
    causal = bool(options.get("is_causal")) and padding is None and not wanted
    q, k, v = _parts((query, key, value), options)
    bias = None if causal else _mask((mask, padding), q, k)
    dropout = options["dropout_p"] if options.get("training", True) else 0.0
    weights = None
    if wanted:
        out, weights = _weighted((q, k, v), bias, dropout)
    else:
        out = F.scaled_dot_product_attention(q, k, v, bias, dropout, causal)
    out = F.linear(out.permute(2, 0, 1, 3).flatten(-2), options["out_proj_weight"], options["out_proj_bias"])
    if weights is not None and options.get("average_attn_weights", True):
        weights = weights.mean(dim=1)
    return out, weights


def _unbatched(inputs: tuple[Tensor, Tensor, Tensor], options: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    query, key, value = inputs
    alone = query.unsqueeze(1)
    others = [alone if query is key and key is value else part.unsqueeze(1) for part in (key, value)]
    padding = options.get("key_padding_mask")
    options = options | {"key_padding_mask": None if padding is None else padding.unsqueeze(0)}
    out, weights = multi_head_attention(alone, *others, **options)
    return out.squeeze(1), None if weights is None else weights.squeeze(0)


def _parts(inputs: tuple[Tensor, Tensor, Tensor], options: dict[str, Any]) -> tuple[Tensor, ...]:
    """Return queries, keys and values by head, (B, h, L, d)."""
    separate = None
    if options.get("use_separate_proj_weight"):
        separate = tuple(options[f"{name}_proj_weight"] for name in "qkv")
    projected = list(_projected(inputs, options["in_proj_weight"], separate, options["in_proj_bias"]))
    for place, name in ((1, "bias_k"), (2, "bias_v")):
        if options[name] is not None:
            projected[place] = torch.cat([projected[place], options[name].expand(-1, inputs[0].shape[1], -1)])
    q, k, v = (torch.unflatten(part, -1, (options["num_heads"], -1)).permute(1, 2, 0, 3) for part in projected)
    if options["add_zero_attn"]:
        k, v = (torch.cat([part, torch.zeros_like(part[:, :, :1])], 2) for part in (k, v))
    return q, k, v


def _projected(
    inputs: tuple[Tensor, Tensor, Tensor],
    packed: Tensor,
    separate: tuple[Tensor, ...] | None,
    bias: Tensor | None,
) -> tuple[Tensor, ...]:
    query, key, value = inputs
    if separate is not None:
        found = tuple(F.linear(part, weight) for part, weight in zip(inputs, separate, strict=True))
        shifts = None if bias is None else bias.chunk(3)
        return found if shifts is None else tuple(part + own for part, own in zip(found, shifts, strict=True))
    if query is key and key is value:
        return F.linear(query, packed, bias).chunk(3, -1)
    asked: Any = query
    if not isinstance(asked, fx.Proxy) and has_torch_function((asked,)):  # whoever watches sees the parameter itself
        return tuple(F.linear(part, packed, bias).chunk(3, -1)[place] for place, part in enumerate(inputs))
    biases = (None, None, None) if bias is None else bias.chunk(3)
    triples = zip(inputs, packed.chunk(3), biases, strict=True)
    return tuple(F.linear(part, weight, shift) for part, weight, shift in triples)


def _mask(masks: tuple[Tensor | None, Tensor | None], q: Tensor, k: Tensor) -> Tensor | None:
    """Return what is added to the scores, in a shape that broadcasts with (B, h, L, S)."""
    mask, padding = (_added(part, q) for part in masks)
    if mask is not None and mask.dim() == 3:
        mask = torch.unflatten(mask, 0, (q.shape[0], -1)) if len(mask) > 1 else mask[None]
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
