"""What a document may name: layers of torch.nn and ours, functions, methods and attributes. Nothing else is looked up.

The lists are written out here, so that nothing is allowed by accident. A name is a key of these tables and never a
path that is followed: no name of a document reaches `getattr`, an import or the interpreter but through them. How much
memory an operation may ask for is bounded by `engine.export.bounds`.
"""

import builtins
import operator
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.pruning.guards import only_shape, only_value
from winnow.engine.pruning.selecting import SELECTING, Gather, Zeros

WEIGHTED = """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear batch_norm instance_norm
group_norm layer_norm rms_norm local_response_norm prelu embedding embedding_bag multi_head_attention_forward"""
ACTIVATIONS = """glu relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh
softplus softsign logsigmoid softshrink hardshrink tanhshrink threshold rrelu softmax log_softmax softmin gumbel_softmax
normalize dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout"""
ARITHMETIC = """add sub mul div truediv rsub true_divide floor_divide floordiv mod remainder fmod multiply subtract
divide neg pos abs sign exp expm1 log log1p log2 log10 sqrt rsqrt square pow reciprocal sin cos tan asin acos atan atan2
sinh cosh erf erfc floor ceil round trunc frac clamp clip clamp_min clamp_max minimum maximum lerp addcmul addcdiv where
masked_fill nan_to_num xlogy hypot eq ne lt le gt ge logical_and logical_or logical_not logical_xor and_ or_ not_ truth
bitwise_and bitwise_or bitwise_not bitwise_xor isnan isfinite isinf outer cross"""
MOVING = """cat concat concatenate stack hstack vstack split split_with_sizes chunk tensor_split unbind getitem setitem
select narrow index_select gather take_along_dim scatter scatter_add index_add index_copy index_fill masked_scatter view
reshape flatten unflatten view_as reshape_as permute transpose t swapaxes swapdims movedim moveaxis squeeze unsqueeze
expand expand_as broadcast_to broadcast_tensors meshgrid repeat tile repeat_interleave roll flip rot90 T mT diagonal
diag diag_embed tril triu pixel_shuffle pixel_unshuffle channel_shuffle unfold fold pad copy contiguous clone detach"""
TYPES = "to type type_as float double half bfloat16 int long bool requires_grad_"
SPATIAL = """max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max_unpool1d
max_unpool2d max_unpool3d interpolate upsample grid_sample affine_grid max_pool1d_with_indices max_pool2d_with_indices
max_pool3d_with_indices"""
REDUCED = """mean sum amax amin max min median std var var_mean std_mean norm linalg_vector_norm logsumexp prod all any
argmax argmin argsort count_nonzero cumsum cumprod sort topk matmul bmm mm addmm addbmm baddbmm mv dot tensordot einsum
cdist scaled_dot_product_attention cosine_similarity one_hot searchsorted bucketize"""
MAKERS = """new_zeros new_ones new_full zeros_like ones_like full_like rand_like randn_like bernoulli zeros ones full
arange linspace eye rand randn tensor as_tensor scalar_tensor"""
FUNCTION_WORDS = f"{WEIGHTED} {ACTIVATIONS} {ARITHMETIC} {MOVING} {TYPES} {SPATIAL} {REDUCED} {MAKERS}"
OPERATORS = "xor invert iadd isub imul itruediv is_floating_point is_complex"
SIZES = """size dim ndim ndimension numel nelement stride dtype device layout is_floating_point is_complex is_cuda
is_contiguous requires_grad element_size itemsize nbytes get_device storage_offset is_leaf is_sparse shape"""

LAYER_WORDS = """Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Linear BatchNorm1d BatchNorm2d
BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d GroupNorm LayerNorm RMSNorm LocalResponseNorm PReLU GLU ReLU
ReLU6 LeakyReLU ELU SELU CELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh Sigmoid Tanh Softplus Softsign RReLU
LogSigmoid Softshrink Hardshrink Tanhshrink Threshold Identity Dropout Dropout1d Dropout2d Dropout3d AlphaDropout
FeatureAlphaDropout Flatten Unflatten PixelShuffle PixelUnshuffle ChannelShuffle MaxPool1d MaxPool2d MaxPool3d
AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d
AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d Upsample UpsamplingNearest2d
UpsamplingBilinear2d ConstantPad1d ConstantPad2d ConstantPad3d ZeroPad1d ZeroPad2d ZeroPad3d ReflectionPad1d
ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d CircularPad1d CircularPad2d
CircularPad3d Softmax Softmax2d LogSoftmax Softmin Embedding LSTM GRU RNN LSTMCell GRUCell RNNCell MultiheadAttention
CosineSimilarity Fold Unfold"""

LIMITS = ("min", "max", "eps", "tiny", "smallest_normal", "resolution")


def limit_of(kind: torch.dtype, name: str) -> float:
    """Return a limit of a floating type, as `torch.finfo` names it.

    Raises:
        ValueError: it is none of them, or the type is not a floating one.

    """
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point or name not in LIMITS:
        raise ValueError(f"`name` must be one of {', '.join(LIMITS)}, of a floating type, got {name!r} of {kind}.")
    return float(getattr(torch.finfo(kind), name))


SPACES = {"torch": torch, "torch.nn.functional": functional, "operator": operator}
OURS: dict[str, Callable[..., Any]] = {
    "winnow.only_shape": only_shape,
    "winnow.only_value": only_value,
    "winnow.limit_of": limit_of,
    "builtins.len": len,
    "torch._assert": torch._assert,
}


def _layers() -> dict[str, type[nn.Module]]:
    found: dict[str, type[nn.Module]] = {f"torch.nn.{name}": getattr(nn, name) for name in LAYER_WORDS.split()}
    return found | {f"winnow.{layer.__name__}": layer for layer in (*SELECTING.values(), Gather, Zeros)}


def _functions() -> dict[str, Callable[..., Any]]:
    words = FUNCTION_WORDS.split()
    names = [*words, *OPERATORS.split(), *(f"{name}_" for name in words)]
    found = {f"{space}.{name}": getattr(home, name, None) for space, home in SPACES.items() for name in names}
    return OURS | {name: call for name, call in found.items() if isinstance(call, FunctionType | BuiltinFunctionType)}


def _methods() -> frozenset[str]:
    words = FUNCTION_WORDS.split()
    names = {*words, *SIZES.split(), *(f"{name}_" for name in words), "cpu", "cuda"}
    return frozenset(name for name in names if callable(getattr(Tensor, name, None)))


LAYERS: Mapping[str, type[nn.Module]] = MappingProxyType(_layers())
FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(_functions())
METHODS = _methods()
ATTRIBUTES = frozenset({*SIZES.split(), "T", "mT", "data", "values", "indices"})

LAYER_NAMES: Mapping[type[nn.Module], str] = MappingProxyType({layer: name for name, layer in LAYERS.items()})
FUNCTION_NAMES: Mapping[Callable[..., Any], str] = MappingProxyType(
    {call: name for name, call in reversed(list(FUNCTIONS.items()))}
)
GETATTR = builtins.getattr
