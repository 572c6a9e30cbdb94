"""`nn.MultiheadAttention` that lost heads: the same layer, whose weights say how wide a head is.

Torch's layer derives the size of a head from its width, and refuses weights of another size. What stays of its
parameters keeps its names, so that a state is loaded as before.
"""

from typing import Any

from torch import Tensor, nn

from winnow.engine.graph.multi_head import multi_head_attention


class NarrowMultiheadAttention(nn.MultiheadAttention):
    """Attention of `num_heads` heads of `head_dim` dimensions each, on a stream of `embed_dim` channels.

    Takes what `torch.nn.MultiheadAttention` takes. The attention weights that it returns are those of the heads that
    are left.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the output and the attention weights (None with `need_weights=False`)."""
        options = dict(zip(OPTIONS, args, strict=False)) | kwargs
        turned = self.batch_first and query.dim() == 3
        if turned and key is value:
            query, key = (query.transpose(1, 0),) * 2 if query is key else (query.transpose(1, 0), key.transpose(1, 0))
            value = key
        elif turned:
            query, key, value = (part.transpose(1, 0) for part in (query, key, value))
        separate = self.in_proj_weight is None
        weights = {f"{name}_proj_weight": getattr(self, f"{name}_proj_weight") for name in "qkv"} if separate else {}
        out, attention = multi_head_attention(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias,
            training=self.training, use_separate_proj_weight=separate, **weights, **options,
        )  # fmt: skip
        return (out.transpose(1, 0) if turned else out), attention


OPTIONS = ("key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")


def fit_attention(layer: nn.MultiheadAttention) -> None:
    """Give an attention layer the number of heads that its weights have."""
    attention: Any = layer
    packed = attention.in_proj_weight is not None
    rows = len(attention.in_proj_weight) // 3 if packed else len(attention.q_proj_weight)
    reads = attention.in_proj_weight if packed else attention.q_proj_weight
    widths = (reads.shape[1], len(attention.out_proj.weight))
    if rows == attention.num_heads * attention.head_dim and widths == (attention.embed_dim,) * 2:
        return
    attention.num_heads, attention.embed_dim = rows // attention.head_dim, widths[1]
    if not packed:
        attention.kdim, attention.vdim = attention.k_proj_weight.shape[1], attention.v_proj_weight.shape[1]
    if type(attention) is nn.MultiheadAttention:
        attention.__class__ = NarrowMultiheadAttention
        attention._qkv_same_embed_dim = False  # torch's own fast kernels take whole layers only
