"""Rules of the norms: per channel (batch, instance), or over channels (group, layer, local response)."""

from typing import Any

import numpy as np
from torch import Tensor

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.grids import whole_over
from winnow.engine.graph.layer_steps import NormStep, StreamNormStep
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.records import Reach
from winnow.engine.graph.steps import Opaque


def batch_norm_module(recording: Recording, operation: Operation) -> Carrier:
    """BatchNorm1d, 2d, 3d: channels along dimension 1."""
    norm: Any = operation.module
    return _batch(recording, operation, (norm.weight, norm.bias, norm.running_mean, norm.running_var), norm.eps)


def batch_norm_function(recording: Recording, operation: Operation) -> Carrier:
    """F.batch_norm on parameters and buffers."""
    tensors = [
        operation.value(*place) for place in ((3, "weight"), (4, "bias"), (1, "running_mean"), (2, "running_var"))
    ]
    own = recording.evaluating and bool(operation.value(5, "training", False))
    return _batch(recording, operation, tuple(tensors), operation.value(7, "eps", 1e-5), own)


def batch_norm_of_aten(recording: Recording, operation: Operation) -> Carrier:
    """torch.batch_norm, whose arguments stand in another order."""
    places = ((1, "weight"), (2, "bias"), (3, "running_mean"), (4, "running_var"))
    own = recording.evaluating and bool(operation.value(5, "training"))
    tensors = tuple(operation.value(*place) for place in places)
    return _batch(recording, operation, tensors, operation.value(7, "eps"), own)


def instance_norm_module(recording: Recording, operation: Operation) -> Carrier:
    """InstanceNorm1d, 2d, 3d: channels before the spatial dimensions."""
    norm: Any = operation.module
    if norm.running_mean is not None:
        return _batch(recording, operation, (norm.weight, norm.bias, norm.running_mean, norm.running_var), norm.eps)
    return _instance(recording, operation, (norm.weight, norm.bias))


def instance_norm_function(recording: Recording, operation: Operation) -> Carrier:
    """F.instance_norm: by the statistics of each image, or by running ones."""
    affine = operation.value(3, "weight"), operation.value(4, "bias")
    running = operation.value(1, "running_mean"), operation.value(2, "running_var")
    if running[0] is None:
        return _instance(recording, operation, affine)
    own = bool(operation.value(5, "use_input_stats", True)) and recording.evaluating
    return _batch(recording, operation, (*affine, *running), operation.value(7, "eps", 1e-5), own)


def group_norm_module(recording: Recording, operation: Operation) -> Carrier:
    """GroupNorm: its groups mix the channels in them."""
    norm: Any = operation.module
    return _grouped(recording, operation, (norm.weight, norm.bias), norm.num_groups)


def group_norm_function(recording: Recording, operation: Operation) -> Carrier:
    """F.group_norm."""
    affine = (operation.value(2, "weight"), operation.value(3, "bias"))
    return _grouped(recording, operation, affine, operation.value(1, "num_groups"))


def _grouped(recording: Recording, operation: Operation, tensors: tuple[Tensor | None, ...], groups: int) -> Carrier:
    source = operation.carrier()
    if _can_be_narrow(operation, tensors) and _only(source.labels, 1):
        channels = source.shape[1]
        owners = np.repeat(np.arange(groups), channels // groups)
        return _stream(recording, operation, tensors, 1 - len(source.shape), owners)
    return _over_channels(recording, operation, tensors, (1,), "group norm mixes the channels it covers")


def layer_norm_module(recording: Recording, operation: Operation) -> Carrier:
    """LayerNorm and RMSNorm over the last dimensions."""
    norm: Any = operation.module
    return _layer(recording, operation, (norm.weight, getattr(norm, "bias", None)), norm.normalized_shape)


def layer_norm_function(recording: Recording, operation: Operation) -> Carrier:
    """F.layer_norm and F.rms_norm."""
    affine = (operation.value(2, "weight"), operation.value(3, "bias") if operation.name == "layer_norm" else None)
    return _layer(recording, operation, affine, operation.value(1, "normalized_shape"))


def narrow_norm_function(recording: Recording, operation: Operation) -> Carrier:
    """A norm of a stream that lost channels already: `engine.graph.narrow_norms`."""
    source, args = operation.carrier(), operation.args
    if operation.name == "narrow_group_norm":
        axis, tensors, owners = 1 - len(source.shape), args[1], args[3][0].argmax(1).cpu().numpy()
    else:
        axis, tensors = -1, args[1:3] if operation.name == "narrow_layer_norm" else args[1:2]
        owners = np.zeros(source.shape[-1], np.int64)
    if not _only(source.labels, axis % len(source.shape)):
        raise operation.refusal("mixes channels that lie along several axes")
    return _stream(recording, operation, tensors, axis, owners)


def own_norm_function(recording: Recording, operation: Operation) -> Carrier:
    """A norm of the user's own: `engine.graph.own_norms`."""
    source, (_, scale, shift, axis, _) = operation.carrier(), operation.args
    tensors = (scale,) if shift is None else (scale, shift)
    place = axis % len(source.shape)
    if _only(source.labels, place):
        return _stream(recording, operation, tensors, axis, np.zeros(source.shape[axis], np.int64))
    return _over_channels(recording, operation, tensors, (place,), "norm mixes the channels")


def local_response_norm(recording: Recording, operation: Operation) -> Carrier:
    """LocalResponseNorm: each channel is divided by its neighbours."""
    return _over_channels(recording, operation, (), (1,), "local response norm mixes neighbouring channels")


def _batch(
    recording: Recording, operation: Operation, tensors: tuple[Tensor | None, ...], eps: float, own: bool = False
) -> Carrier:
    """A norm of each channel by running statistics, or (`own`) always by those of the tensor itself."""
    source = operation.carrier()
    axis = 1 - len(source.shape)
    channels = recording.along(source, axis)
    scale, shift, mean, variance = _affine(recording, operation, tensors, channels)
    result = _plain(recording, operation, channels, axis)
    statistics = (mean, variance, eps) if mean is not None and variance is not None and not own else None
    recording.steps.append(
        NormStep(source.index, result.index, axis, scale, shift, statistics, True, result.labels.shape)
    )
    if operation.module is not None or f"{operation.path}.weight" == scale:
        recording.norms.append((operation.path, source.index))
    return result


def _instance(recording: Recording, operation: Operation, tensors: tuple[Tensor | None, ...]) -> Carrier:
    source = operation.carrier()
    axis = 1 - len(source.shape)
    channels = recording.along(source, axis)
    scale, shift = _affine(recording, operation, tensors, channels)
    result = _plain(recording, operation, channels, axis)
    recording.steps.append(NormStep(source.index, result.index, axis, scale, shift, None, True, result.labels.shape))
    return result


def _layer(
    recording: Recording, operation: Operation, tensors: tuple[Tensor | None, ...], shape: tuple[int, ...]
) -> Carrier:
    source = operation.carrier()
    dimensions = len(source.shape)
    plain = operation.leaf and tensors[0] is None  # a layer without γ
    if (plain or _can_be_narrow(operation, tensors)) and len(shape) == 1 and _only(source.labels, dimensions - 1):
        return _stream(recording, operation, tensors, -1, np.zeros(shape[0], np.int64))
    return _over_channels(
        recording,
        operation,
        tensors,
        tuple(range(dimensions - len(shape), dimensions)),
        "layer norm mixes the channels",
    )


def _can_be_narrow(operation: Operation, tensors: tuple[Tensor | None, ...]) -> bool:
    """Whether a norm is all that a layer of torch does, with γ, so that one that knows the old width can replace it."""
    return (operation.leaf or operation.module is not None) and tensors[0] is not None


def _only(labels: Labels, axis: int) -> bool:
    """Whether channels lie along one axis alone."""
    return [place for place, length in enumerate(labels.shape) if length > 1] == [axis]


def _stream(
    recording: Recording, operation: Operation, tensors: tuple[Tensor | None, ...], axis: int, owners: Labels
) -> Carrier:
    """A norm over the channels of a stream: they may go where they are zero and nobody reads them."""
    source = operation.carrier()
    channels = recording.along(source, axis)
    names = _affine(recording, operation, tensors, channels)
    result = _plain(recording, operation, channels, axis)
    recording.flows.append(Reach(operation.place, channels, channels))
    affine = (names[0], names[1] if len(names) > 1 else None)
    shape = result.labels.shape
    recording.steps.append(StreamNormStep(source.index, result.index, channels, affine, shape, axis, owners))
    return result


def _over_channels(
    recording: Recording, operation: Operation, tensors: tuple[Tensor | None, ...], mixed: tuple[int, ...], reason: str
) -> Carrier:
    """A norm over the dimensions `mixed`; where the channels lie along another one it does not touch them."""
    source = whole_over(recording, operation.carrier(), mixed)
    varying = [axis for axis in range(len(source.shape)) if source.labels.shape[axis] > 1]
    if not set(varying) & set(mixed):
        result = recording.result(operation, source.labels)
        recording.steps.append(Opaque(result.index, (source.index,), False, result.labels.shape))
        return result
    axis = next(axis for axis in varying if axis in mixed) - len(source.shape)
    channels = recording.along(source, axis)
    _affine(recording, operation, tensors, channels, axis)
    result = _plain(recording, operation, channels, axis)
    recording.mix(operation, reason, [channels], channels)
    recording.steps.append(Opaque(result.index, (source.index,), True, result.labels.shape))
    return result


def _plain(recording: Recording, operation: Operation, channels: Labels, axis: int) -> Carrier:
    shape = [1] * len(operation.result.shape)
    shape[axis] = len(channels)
    return recording.result(operation, channels.reshape(shape))


def _affine(
    recording: Recording,
    operation: Operation,
    tensors: tuple[Tensor | None, ...],
    channels: Labels,
    axis: int = -1,
) -> list[str | None]:
    """Enter γ, β and running statistics as sites; of a layer norm over several dimensions, along the channels' one."""
    names: list[str | None] = []
    for tensor in tensors:
        names.append(name := recording.name(tensor))
        if tensor is None:
            continue
        if name is None:
            raise operation.refusal("its γ and β must be plain parameters")
        place = tensor.dim() + axis if tensor.dim() > 1 else 0
        recording.site((operation.place, "norm"), name, place, np.asarray(channels))
    return names
