"""Which rule an operation follows, by its name; one that is not named here is refused.

Modules go by their type, functions and methods by their name: `torch.relu`, `F.relu`, `x.relu()` and `x.relu_()` are
one operation.
"""

from collections.abc import Callable
from typing import Any

from winnow.engine.graph import contracting, layers, movement, norms, pointwise, recurrent, spatial
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.recording import Recording

Rule = Callable[[Recording, Operation], Any]

POINTWISE_MODULES = """ReLU ReLU6 LeakyReLU ELU SELU CELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh Sigmoid
Tanh Softplus Softsign RReLU LogSigmoid Softshrink Hardshrink Tanhshrink Threshold"""
POINTWISE = """relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid
tanh softplus softsign logsigmoid softshrink hardshrink tanhshrink threshold rrelu add sub
mul div truediv iadd isub imul itruediv rsub true_divide floor_divide floordiv mod
remainder fmod multiply subtract divide neg pos abs sign exp expm1 log log1p log2 log10
sqrt rsqrt square pow reciprocal sin cos tan asin acos atan atan2 sinh cosh erf erfc floor
ceil round trunc frac clamp clip clamp_min clamp_max minimum maximum lerp addcmul addcdiv
where masked_fill nan_to_num xlogy hypot eq ne lt le gt ge logical_and logical_or
logical_not logical_xor and_ or_ isnan isfinite isinf zeros_like ones_like full_like
rand_like randn_like empty_like bernoulli radd rsub rmul rdiv rtruediv rfloordiv rmod rpow ipow and or xor rand ror
rxor invert bitwise_and bitwise_or bitwise_xor bitwise_not copy zero fill int long short bool char byte
sinc erfinv digamma lgamma sgn signbit logaddexp logaddexp2 heaviside float_power fmax fmin greater less greater_equal
less_equal not_equal log_sigmoid isclose deg2rad rad2deg exp2 copysign ldexp nextafter arctan arctan2 arcsin
arccos absolute negative positive fix"""
UNCHANGED = """contiguous clone detach to type type_as float double half bfloat16 cpu cuda requires_grad_ identity
alias lift_fresh _to_copy"""
DROPPED_MODULES = "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout"
DROPPED = "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout"
MOVED_MODULES = "Flatten Unflatten PixelShuffle PixelUnshuffle ChannelShuffle"
MOVED = """cat concat concatenate stack hstack vstack split split_with_sizes chunk tensor_split unbind getitem select
narrow index_select view reshape flatten unflatten view_as reshape_as permute transpose t swapaxes swapdims movedim
moveaxis squeeze unsqueeze expand expand_as broadcast_to repeat tile repeat_interleave roll flip rot90 T mT data
pixel_shuffle pixel_unshuffle channel_shuffle unfold slice H mH adjoint unsafe_split unsafe_chunk ravel fliplr
flipud"""
POOLED_MODULES = """MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d AdaptiveAvgPool1d
AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d"""
POOLED = """max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"""
INTERPOLATED_MODULES = "Upsample UpsamplingNearest2d UpsamplingBilinear2d"
PADDED_MODULES = " ".join(
    f"{kind}Pad{dimensions}d"
    for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
    for dimensions in (1, 2, 3)
)
REDUCED = """mean sum amax amin max min median std var norm linalg_vector_norm logsumexp prod all any
argmax argmin count_nonzero var_mean std_mean aminmax nanmean nansum"""
SOFTMAXED_MODULES = "Softmax Softmax2d LogSoftmax Softmin"
SOFTMAXED = "softmax log_softmax softmin normalize cumsum cumprod sort"
CONTRACTED = "matmul rmatmul bmm mm baddbmm einsum scaled_dot_product_attention"
MULTIPLIED = "mv dot addmm addbmm addmv tensordot cosine_similarity cdist outer kron"


def _named(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


MODULE_RULES: dict[str, Rule] = {
    **_named("Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d", layers.convolution_module),
    **_named("Linear", layers.linear_module),
    **_named("Embedding", layers.embedding_module),
    **_named("BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm", norms.batch_norm_module),
    **_named("InstanceNorm1d InstanceNorm2d InstanceNorm3d", norms.instance_norm_module),
    **_named("GroupNorm", norms.group_norm_module),
    **_named("LayerNorm RMSNorm", norms.layer_norm_module),
    **_named("LocalResponseNorm", norms.local_response_norm),
    **_named("PReLU", pointwise.prelu),
    **_named("GLU", pointwise.gated),
    **_named(POINTWISE_MODULES, pointwise.pointwise),
    **_named("Identity", movement.unchanged),
    **_named(DROPPED_MODULES, movement.dropped),
    **_named(MOVED_MODULES, movement.moved),
    **_named(POOLED_MODULES, spatial.pooled),
    **_named(INTERPOLATED_MODULES, spatial.interpolated),
    **_named(PADDED_MODULES, spatial.padded),
    **_named(SOFTMAXED_MODULES, spatial.softmaxed),
}
FUNCTION_RULES: dict[str, Rule] = {
    **_named("conv1d conv2d conv3d", layers.convolution_function),
    **_named("conv_transpose1d conv_transpose2d conv_transpose3d", layers.convolution_function),
    **_named("linear", layers.linear_function),
    **_named("embedding", layers.embedding_function),
    **_named("embedding_bag", layers.bag_function),
    **_named("product", layers.product_function),
    **_named("batch_norm", norms.batch_norm_function),
    **_named("aten_batch_norm", norms.batch_norm_of_aten),
    **_named("instance_norm", norms.instance_norm_function),
    **_named("group_norm", norms.group_norm_function),
    **_named("layer_norm rms_norm", norms.layer_norm_function),
    **_named("narrow_layer_norm narrow_rms_norm narrow_group_norm", norms.narrow_norm_function),
    **_named("lstm gru rnn_tanh rnn_relu", recurrent.recurrent),
    **_named("lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell", recurrent.recurrent_cell),
    **_named("_pack_padded_sequence", recurrent.packed_sequence),
    **_named("_pad_packed_sequence", recurrent.unpacked_sequence),
    **_named("zeros_instead", layers.zeros_function),
    **_named("own_norm", norms.own_norm_function),
    **_named("local_response_norm", norms.local_response_norm),
    **_named("prelu", pointwise.prelu),
    **_named("glu", pointwise.gated),
    **_named("new_zeros new_ones new_full new_empty new_tensor", pointwise.unrelated),
    **_named(POINTWISE, pointwise.pointwise),
    **_named(UNCHANGED, movement.unchanged),
    **_named(DROPPED, movement.dropped),
    **_named(MOVED, movement.moved),
    **_named(POOLED, spatial.pooled),
    **_named("interpolate upsample", spatial.interpolated),
    **_named("pad", spatial.padded),
    **_named("max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices", spatial.pooled_with_places),
    **_named("max_unpool1d max_unpool2d max_unpool3d", spatial.unpooled),
    **_named("setitem", movement.assigned),
    **_named("index_add index_copy", pointwise.indexed),
    **_named(REDUCED, spatial.reduced),
    **_named(SOFTMAXED, spatial.softmaxed),
    **_named(CONTRACTED, contracting.contracted),
    **_named(MULTIPLIED, contracting.mixed),
}

WEIGHTED = (  # their tensors but the first are weights
    layers.convolution_function,
    layers.linear_function,
    layers.embedding_function,
    layers.bag_function,
    layers.product_function,
    norms.batch_norm_function,
    norms.batch_norm_of_aten,
    norms.instance_norm_function,
    norms.group_norm_function,
    norms.layer_norm_function,
    norms.narrow_norm_function,
    norms.own_norm_function,
    pointwise.prelu,
    recurrent.recurrent,
    recurrent.recurrent_cell,
)


PLACELESS = (
    pointwise.pointwise, movement.moved, movement.unchanged, movement.dropped, contracting.contracted,
    contracting.mixed,
)  # fmt: skip
GRIDS = (  # take channels that lie along several dimensions
    *PLACELESS, movement.assigned, spatial.padded, spatial.softmaxed, spatial.reduced,
    norms.layer_norm_module, norms.layer_norm_function, norms.own_norm_function,
)  # fmt: skip


def rule_of(operation: Operation) -> Rule | None:
    """Return the rule of an operation, None if there is none."""
    if operation.module is not None:
        exact = type(operation.module).__module__.startswith("torch.nn.modules")
        return MODULE_RULES.get(operation.name) if exact else None
    return rule_named(operation.name)


def rule_named(name: str) -> Rule | None:
    """Return the rule of a function by its name, as `engine.graph.functions.name_of` gives it, None if there is none.

    Operators of the dispatcher (`aten::…`) take their arguments in another order than functions; only those rules
    apply that do not look at arguments by place.
    """
    operator, name = name.startswith("aten::"), name.removeprefix("aten::")
    if name not in FUNCTION_RULES and name.endswith("_"):
        name = name.removesuffix("_")
    rule = FUNCTION_RULES.get(name)
    return rule if not operator or rule in PLACELESS else None
