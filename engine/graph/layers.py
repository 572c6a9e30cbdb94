"""Rules of the layers that make channels: convolutions of every kind, linear layers, and embeddings.

A layer is used as a module or as a function on parameters; both come here. The channels that it makes are those along
the rows of its weight, so a layer used twice makes the same channels twice: what is dropped must go in both uses.

With g > 1 blocks the same number of channels must go from each: channels at the same position of every block are
tied, in and out. With one block per input channel (depthwise) the input and the outputs made of it are tied instead.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.layer_steps import DepthwiseStep, ProductStep, TableStep
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.recording import Recording, kernel_size
from winnow.engine.graph.records import Depthwise, Product
from winnow.engine.graph.refusal import COMPUTED, COMPUTED_BIAS
from winnow.engine.graph.steps import ChosenStep, Zero


@dataclass(frozen=True, eq=False)
class Weighted:
    """A layer with weights: its parameters by name, and how the kernel is laid over the input."""

    weight: Tensor
    name: str
    bias: str | None
    groups: int = 1
    transposed: bool = False
    padded: bool = False

    @property
    def inputs(self) -> int:
        """The number of input channels."""
        return self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        return self.weight.shape[1] * self.groups if self.transposed else self.weight.shape[0]


def convolution_module(recording: Recording, operation: Operation) -> Carrier:
    """Conv1d, 2d, 3d and their transposed forms."""
    layer: Any = operation.module
    padded = layer.transposed or isinstance(layer.padding, str) or any(layer.padding)
    weight, bias = _names(recording, operation, layer.weight, layer.bias)
    shape = Weighted(layer.weight, weight, bias, layer.groups, layer.transposed, padded)
    return _convolution(recording, operation, shape)


def convolution_function(recording: Recording, operation: Operation) -> Carrier:
    """F.conv1d, 2d, 3d and their transposed forms, on parameters."""
    weight: Tensor = operation.value(1, "weight")
    padding, transposed = operation.value(4, "padding", 0), "transpose" in operation.name
    padded = transposed or isinstance(padding, str) or bool(np.any(padding))
    names = _names(recording, operation, weight, operation.value(2, "bias"))
    return _convolution(
        recording, operation, Weighted(weight, *names, operation.value(6, "groups", 1), transposed, padded)
    )


def linear_module(recording: Recording, operation: Operation) -> Carrier:
    """nn.Linear."""
    layer: Any = operation.module
    return _linear(recording, operation, layer.weight, layer.bias)


def linear_function(recording: Recording, operation: Operation) -> Carrier:
    """F.linear, on parameters."""
    return _linear(recording, operation, operation.value(1, "weight"), operation.value(2, "bias"))


def product_function(recording: Recording, operation: Operation) -> Carrier:
    """Multiply by a parameter W of (inputs, outputs), and add one: see `engine.graph.functions.as_layer`."""
    return _linear(recording, operation, operation.args[1], operation.value(2, "bias"), transposed=True)


def zeros_function(recording: Recording, operation: Operation) -> Carrier:
    """`engine.graph.narrow_norms.zeros_instead`: channels of its own, which are zero."""
    channels = recording.partition.fresh(operation.value(1, "width"))
    made = recording.layer_result(operation, channels, -1)
    recording.steps.append(Zero(made.index, made.labels.shape))
    return made


def embedding_module(recording: Recording, operation: Operation) -> Carrier:
    """nn.Embedding."""
    layer: Any = operation.module
    return _table(recording, operation, layer.weight, layer.max_norm)


def embedding_function(recording: Recording, operation: Operation) -> Carrier:
    """F.embedding, on a parameter."""
    return _table(recording, operation, operation.value(1, "weight"), operation.value(3, "max_norm"))


def bag_function(recording: Recording, operation: Operation) -> Carrier:
    """F.embedding_bag, on a parameter: sums, means or maxima of rows, column by column."""
    return _table(recording, operation, operation.value(1, "weight"), operation.value(3, "max_norm"), sums=True)


def _table(
    recording: Recording, operation: Operation, weight: Tensor, max_norm: float | None, sums: bool = False
) -> Carrier:
    """Enter rows that are picked from a table: its columns are the channels, its rows all stay.

    With `sums`, rows are added up, maybe with weights: of a column only zero throughout is known then.

    Raises:
        NotTraceable: the table is rescaled as it is read.

    """
    if max_norm is not None:
        raise operation.refusal("its `max_norm` depends on all columns and writes into the table")
    name, _ = _names(recording, operation, weight, None)
    recording.tables.add(name)
    columns = recording.rows((operation.place, "writer"), name, 1, weight.shape[1])
    result = recording.layer_result(operation, columns, -1)
    recording.steps.append(TableStep(result.index, name, result.labels.shape, sums))
    chosen = operation.carriers()
    if computed := [carrier.labels for carrier in chosen if carrier.bears]:
        recording.mix(operation, "its rows are picked by values that layers compute", computed, columns)
    recording.steps.append(ChosenStep(result.index, tuple(carrier.index for carrier in chosen), forgets=False))
    return result


def _names(recording: Recording, operation: Operation, weight: Tensor, bias: Tensor | None) -> tuple[str, str | None]:
    name, bias_name = recording.name(weight), recording.name(bias)
    if name is None:
        raise operation.refusal(COMPUTED)
    if bias is not None and bias_name is None:
        raise operation.refusal(COMPUTED_BIAS)
    return name, bias_name


def _linear(
    recording: Recording, operation: Operation, weight: Tensor, bias: Tensor | None, transposed: bool = False
) -> Carrier:
    """Enter a product with a matrix and a bias, which torch may stretch: one number for all outputs belongs to none.

    Raises:
        NotTraceable: the bias has another shape than (outputs,), or one of the two is computed.

    """
    names = _names(recording, operation, weight, bias)
    layer = Weighted(weight, *names, transposed=transposed)
    if bias is not None and tuple(bias.shape) != (layer.outputs,):
        raise operation.refusal("give it a bias of one number for each output")
    return _dense(recording, operation, layer, -1)


def _convolution(recording: Recording, operation: Operation, layer: Weighted) -> Carrier:
    axis = 1 - layer.weight.dim()  # (…, C, spatial dimensions): as many of them as the kernel has
    if layer.groups > 1 and layer.groups == layer.inputs:
        return _depthwise(recording, operation, layer, axis)
    return _dense(recording, operation, layer, axis)


def _dense(recording: Recording, operation: Operation, layer: Weighted, axis: int) -> Carrier:
    source, path = operation.carrier(), operation.place
    inputs = recording.along(source, axis)
    outputs_axis, inputs_axis = (1, 0) if layer.transposed else (0, 1)
    rows = recording.rows((path, "writer"), layer.name, outputs_axis, layer.weight.shape[outputs_axis])
    outputs = np.tile(rows, layer.groups) if layer.transposed else rows
    if layer.groups > 1:
        recording.tie_blocks(inputs, layer.groups)
        recording.tie_blocks(outputs, layer.groups)
    columns = inputs if layer.transposed else inputs[: layer.weight.shape[1]]
    recording.site((path, "reader"), layer.name, inputs_axis, columns)
    if layer.bias:
        recording.site((path, "writer"), layer.bias, 0, outputs)
    result = recording.layer_result(operation, outputs, axis)
    positions = source if layer.transposed else result
    macs = _places(recording, positions, axis) * kernel_size(layer.weight)
    product = Product(
        path, layer.name, layer.bias, rows, columns, macs, layer.groups, layer.transposed, layer.padded,
        source.index, result.index, axis,
    )  # fmt: skip
    recording.layer_uses.append(product)
    recording.flows.append(product)
    recording.steps.append(ProductStep(product, result.labels.shape))
    return result


def _depthwise(recording: Recording, operation: Operation, layer: Weighted, axis: int) -> Carrier:
    source, path = operation.carrier(), operation.place
    inputs = recording.along(source, axis)
    multiplier = layer.outputs // layer.inputs
    outputs = np.repeat(inputs, multiplier)
    entries = inputs if layer.transposed else outputs
    recording.site((path, "depthwise"), layer.name, 0, entries)
    if layer.bias:
        recording.site((path, "writer"), layer.bias, 0, outputs)
    result = recording.layer_result(operation, outputs, axis)
    positions = source if layer.transposed else result
    macs = _places(recording, positions, axis) * kernel_size(layer.weight) * (multiplier if layer.transposed else 1)
    depthwise = Depthwise(
        path, layer.name, layer.bias, entries, macs, multiplier, layer.transposed, layer.padded,
        source.index, result.index, axis,
    )  # fmt: skip
    recording.layer_uses.append(depthwise)
    recording.steps.append(DepthwiseStep(depthwise, result.labels.shape))
    return result


def _places(recording: Recording, carrier: Carrier, axis: int) -> float:
    """Return how many places of one image the channels of a tensor stand at."""
    if not recording.primary:  # another call: what an image costs is counted in the first one
        return 0.0
    return float(np.prod(carrier.shape)) / carrier.shape[axis] / recording.images
