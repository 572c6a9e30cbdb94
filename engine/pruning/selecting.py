"""Layers of a smaller model: those that read a part of their input, or give zeros, and attention that lost heads.

A reader on a stream that others use too gathers the channels that it uses, and has a smaller kernel. Constants that it
saw in channels that went come in through the channel of ones: its column holds their kernels, summed. At a border that
is padded with zeros this is exact, where a bias would not be.
"""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.engine.graph.multi_head import multi_head_attention
from winnow.engine.graph.narrow_norms import narrow_group_norm, narrow_layer_norm, narrow_rms_norm, zeros_instead
from winnow.engine.graph.own_norms import OwnNorm, own_norms


def picked_units(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """Return the channels `index` of the axis (from the end), in the memory format that x has.

    Where channels lie innermost (channels last), torch picks along a strided axis six times slower than along the
    columns of a matrix, and loses the format.
    """
    if axis == -1 or x.stride(axis) != 1:
        return x.index_select(axis, index)
    inner = x.movedim(axis, -1)
    rows = inner.reshape(-1, inner.shape[-1]).index_select(1, index)
    return rows.view(*inner.shape[:-1], len(index)).movedim(-1, axis)


class Selecting(nn.Module):
    """What is added to a layer: which entries of the channel axis it reads, and whether ones are appended.

    `index` names the entries; or they lie side by side from `start` on, as many as the weight has columns. None for
    both: all. `axis` is the channel axis, from the end.
    """

    index: Tensor | None
    ones: bool
    axis: int
    start: int | None = None

    def picked(self, x: Tensor) -> Tensor:
        """Return the channels that the layer reads, and ones behind them."""
        if self.start is not None:
            weight: Any = self.weight
            x = x.narrow(self.axis, self.start, weight.shape[1] - self.ones)
        elif self.index is not None:
            x = picked_units(x, self.index, self.axis)
        return torch.cat([x, torch.ones_like(x.narrow(self.axis, 0, 1))], self.axis) if self.ones else x

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer makes of the channels that it reads."""
        return cast(Tensor, super().forward(self.picked(x)))


class SelectingConv1d(Selecting, nn.Conv1d):
    """A convolution of some channels of a sequence."""


class SelectingConv2d(Selecting, nn.Conv2d):
    """A convolution of some channels of an image."""


class SelectingConv3d(Selecting, nn.Conv3d):
    """A convolution of some channels of a volume."""


class SelectingLinear(Selecting, nn.Linear):
    """A linear layer on some columns."""


SELECTING: dict[type[nn.Module], type[Selecting]] = {
    nn.Conv1d: SelectingConv1d,
    nn.Conv2d: SelectingConv2d,
    nn.Conv3d: SelectingConv3d,
    nn.Linear: SelectingLinear,
}


class Gather(nn.Module):
    """The channels that several readers of one stream use."""

    index: Tensor

    def __init__(self, index: Tensor, axis: int) -> None:
        super().__init__()
        self.register_buffer("index", index)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels along the axis."""
        return picked_units(x, self.index, self.axis)


def select_units(layer: nn.Module, index: Tensor | None, ones: bool, axis: int) -> None:
    """Make a layer read the entries of `index` and, behind them, ones; its weight must have these columns already."""
    selecting: Any = layer
    selecting.__class__ = SELECTING[type(layer)]
    selecting.register_buffer("index", index)
    selecting.ones, selecting.axis = ones, axis


def read_slice(layer: nn.Module, start: int) -> None:
    """Make a layer that gathers read as many channels side by side, from `start` on."""
    selecting: Any = layer
    selecting.index, selecting.start = None, start


class Zeros(nn.Module):
    """What is left of a module that gave nothing: (…, C) comes in, (…, width) zeros go out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros on the places of x."""
        return zeros_instead(x, self.width)

    def extra_repr(self) -> str:
        """Return the width, as layers of torch show theirs."""
        return f"width={self.width}"


class NarrowLayerNorm(nn.LayerNorm):
    """A layer norm of a stream that lost channels; `width` is the number that there were."""

    width: int

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised channels that are left, in the type of the input."""
        widths = (self.width, self.normalized_shape[-1])
        return narrow_layer_norm(input, self.weight, self.bias, self.eps, widths)


class NarrowRMSNorm(nn.RMSNorm):
    """An RMS norm of a stream that lost channels; `width` is the number that there were."""

    width: int

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised channels that are left, in the type of the input."""
        kind: Any = self._parameters["weight"]  # its type is a plain one, whoever draws the program
        kind = x if kind is None else kind
        eps = torch.finfo(torch.promote_types(kind.dtype, torch.float32)).eps if self.eps is None else self.eps
        return narrow_rms_norm(x, self.weight, eps, self.width)


class NarrowGroupNorm(nn.GroupNorm):
    """A group norm of a stream that lost channels; `width` is the number that each group had.

    `owner` (channels left, groups) marks the group of each channel, `gone` (groups,) counts what each group lost.
    """

    owner: Tensor
    gone: Tensor
    width: int

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised channels that are left, in the type of the input."""
        return narrow_group_norm(input, (self.weight, self.bias), self.eps, (self.owner, self.gone), self.width)


class NarrowOwnNorm(nn.Module):
    """A norm of the user's own over a stream that lost channels; `norm` is what it does, `width` what there were."""

    norm: OwnNorm
    width: int

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised channels that are left."""
        norm = self.norm
        scale, moved = getattr(self, norm.scale), x.movedim(norm.axis, -1)
        shift = None if norm.shift is None else getattr(self, norm.shift)
        if norm.kind == "layer":
            found = narrow_layer_norm(moved, scale, shift, norm.eps, (self.width, scale.shape[0]))
        else:
            found = narrow_rms_norm(moved, scale, norm.eps, self.width)
            found = found if shift is None else found + shift
        return found.movedim(-1, norm.axis)


def fit_own_norms(model: nn.Module, whole: nn.Module) -> None:
    """Let norms of the user's own know how many channels there were, where their copies in `model` have fewer."""
    for path, norm in own_norms(whole).items():
        layer: Any = model.get_submodule(path)
        width = len(whole.get_submodule(path).get_parameter(norm.scale))
        if len(getattr(layer, norm.scale)) < width:
            layer.__class__, layer.norm, layer.width = NarrowOwnNorm, norm, width


def fit_group_norm(norm: nn.Module, stays: NDArray[np.int64]) -> None:
    """Give a group norm the channels that stay, by their places in the whole stream."""
    layer: Any = norm
    whole: type[Any] = nn.GroupNorm
    if type(norm) is whole:
        layer.width = layer.num_channels // layer.num_groups
        layer.__class__ = NarrowGroupNorm
        owner = torch.eye(layer.num_groups).repeat_interleave(layer.width, 0)
    else:
        owner = layer.owner.cpu().float()
    left = owner[torch.from_numpy(stays)].to(layer.weight)
    layer.num_channels = len(stays)
    layer.register_buffer("owner", left)
    layer.register_buffer("gone", layer.width - left.sum(0))


NARROW: dict[type[nn.Module], type[nn.Module]] = {nn.LayerNorm: NarrowLayerNorm, nn.RMSNorm: NarrowRMSNorm}
NARROWED = (
    NarrowLayerNorm,
    NarrowRMSNorm,
    NarrowGroupNorm,
    NarrowOwnNorm,
)  # norms that do other operations than torch's


def fit_norm(norm: nn.Module) -> None:
    """Give a norm over channels the number of channels that it has left, and let it know how many there were."""
    layer: Any = norm
    if layer.weight is None or tuple(layer.weight.shape) == tuple(layer.normalized_shape):
        return
    if type(layer) in NARROW and len(layer.normalized_shape) == 1:
        layer.width = layer.normalized_shape[0]
        layer.__class__ = NARROW[type(layer)]
    layer.normalized_shape = tuple(layer.weight.shape)


def fit_plain_norm(norm: nn.Module, left: int) -> None:
    """Give a norm without γ the number of channels that it has left."""
    layer: Any = norm
    if type(layer) in NARROW and tuple(layer.normalized_shape) != (left,):
        layer.width = layer.normalized_shape[0]
        layer.__class__ = NARROW[type(layer)]
    layer.normalized_shape = (left,)


def slow_paths(model: nn.Module) -> None:
    """Let encoders of torch call their parts where these are no longer torch's own: fast kernels read the weights."""
    for layer in model.modules():
        kinds = [type(part).__module__ for part in layer.modules()]
        if all(kind.startswith("torch.nn") for kind in kinds):
            continue
        encoder: Any = layer
        if isinstance(layer, nn.TransformerEncoderLayer):
            encoder.activation_relu_or_gelu = 0
        elif isinstance(layer, nn.TransformerEncoder):
            encoder.use_nested_tensor = False


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
    if not packed:
        attention.kdim, attention.vdim = attention.k_proj_weight.shape[1], attention.v_proj_weight.shape[1]
    if rows == attention.num_heads * attention.head_dim and widths == (attention.embed_dim,) * 2:
        return
    attention.num_heads, attention.embed_dim = rows // attention.head_dim, widths[1]
    if type(attention) is nn.MultiheadAttention:
        attention.__class__ = NarrowMultiheadAttention
        attention._qkv_same_embed_dim = False  # torch's own fast kernels take whole layers only
