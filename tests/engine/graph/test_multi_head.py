"""Attention by hand gives what torch's function gives."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from winnow.engine.graph.multi_head import multi_head_attention

FORMS = {
    "packed": {},
    "no bias": {"bias": False},
    "separate": {"kdim": 6, "vdim": 5},
    "more keys": {"add_bias_kv": True, "add_zero_attn": True},
}


def arguments(layer: nn.MultiheadAttention) -> tuple:
    return (
        layer.embed_dim, layer.num_heads, layer.in_proj_weight, layer.in_proj_bias, layer.bias_k, layer.bias_v,
        layer.add_zero_attn, 0.0, layer.out_proj.weight, layer.out_proj.bias,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batched", [True, False])
def test_multi_head_attention(form: str, batched: bool):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, **FORMS[form]).double()
    shape = (5, 3) if batched else (5,)
    query, key, value = (torch.randn(*shape, n, dtype=torch.float64) for n in (8, layer.kdim, layer.vdim))
    inputs = [(query, key, value)] + [(query, query, query)] * (form != "separate")
    masks = [None, torch.ones(5, 5).triu(1).bool(), torch.randn(5, 5, dtype=torch.float64)]
    masks += [torch.randn(6, 5, 5, dtype=torch.float64)] if batched else []
    paddings = [None, torch.tensor([[False] * 4 + [True]] * 3) if batched else torch.arange(5) > 3]
    separate = {f"{name}_proj_weight": getattr(layer, f"{name}_proj_weight") for name in "qkv"}
    for parts, mask, padding, weights in itertools.product(inputs, masks, paddings, (True, False)):
        options = {
            "training": False, "key_padding_mask": padding, "need_weights": weights, "attn_mask": mask,
            "use_separate_proj_weight": form == "separate", **separate,
        }  # fmt: skip
        if padding is not None and mask is not None and mask.is_floating_point():
            options["key_padding_mask"] = torch.zeros(padding.shape, dtype=mask.dtype).masked_fill(padding, -torch.inf)
        expected = F.multi_head_attention_forward(*parts, *arguments(layer), **options)
        found = multi_head_attention(*parts, *arguments(layer), **options)
        assert (found[1] is None) is (expected[1] is None)
        for one, other in zip(found, expected, strict=True):
            assert one is None or (one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=1e-12))


def test_a_causal_hint_needs_its_mask():
    layer, x = nn.MultiheadAttention(8, 2), torch.randn(5, 3, 8)
    with pytest.raises(ValueError, match="attn_mask"):
        multi_head_attention(x, x, x, *arguments(layer), is_causal=True)
