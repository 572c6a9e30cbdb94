"""The proof that a smaller model is the same model: outputs compared on the example and on random inputs.

Both run in evaluation mode, in float32 and in float64. The dense model is run layer by layer in the other precision,
so that it is never copied as a whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.utils import _pytree

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import undisturbed

FLOAT32, FLOAT64 = 1e-4, 1e-10  # the largest relative error of a certificate
SEED = 0
Outputs = list[Tensor]


class NotExact(ArithmeticError):  # noqa: N818 - the published name
    """A smaller model does not give what the original gives, so it is not handed out."""


@dataclass(frozen=True)
class Certificate:
    """What was compared and what went.

    max_error_*: the largest absolute difference in any output; relative_error_*: the largest one by the scale (the
    largest entry) of its output.
    inputs: what both models were run on. removed: one row per layer that lost something, with its weight's shape,
    parameters and columns read before and after. kept_for: channels that could have gone, had the program allowed it:
    the operation and why. gathered: the layers that gather channels, and how many; folded: the
    layers that took over constants, how many and where. What they hold for these is a sum, rounded to the model's
    type; in float64 it is judged as computed. constants: the layers that still read channels which are constant in
    evaluation mode, and why they do not take them over. hollow: the operations that are dead as a whole and keep one
    channel, so that the program runs as it did. fixed_sizes: whether the smaller model takes these sizes only.
    """

    max_error_float32: float
    max_error_float64: float
    relative_error_float32: float
    relative_error_float64: float
    inputs: tuple[str, ...]
    removed: pd.DataFrame = field(compare=False)
    kept_for: Mapping[str, str] = field(default_factory=dict)
    gathered: Mapping[str, str] = field(default_factory=dict)
    folded: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    hollow: tuple[str, ...] = ()
    fixed_sizes: bool = False


@dataclass(frozen=True)
class Errors:
    """The largest errors of a smaller model in one precision."""

    absolute: float
    relative: float


class _InType(fx.Interpreter):
    """Runs a model's graph in another precision, converting each layer for as long as it runs."""

    def __init__(self, graph: ChannelGraph, dtype: torch.dtype) -> None:
        super().__init__(graph.model, graph=graph.fx_graph)
        self.constants, self.dtype = graph.tensor_constants, dtype

    def fetch_attr(self, target: str) -> Any:
        """Return a tensor in the precision asked for, or a module."""
        if target in self.constants:
            return in_type(self.constants[target], self.dtype)
        return in_type(super().fetch_attr(target), self.dtype)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Run a layer with its weights converted."""
        return run_in_type(self.fetch_attr(target), self.dtype, args, kwargs)


def in_type(value: Any, dtype: torch.dtype) -> Any:
    """Return a floating tensor in the given type, anything else as it is."""
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def run_in_type(
    module: nn.Module, dtype: torch.dtype, args: Any, kwargs: Any, exact: Mapping[str, Tensor] | None = None
) -> Any:
    """Return what a module gives with its weights converted; `exact` are values for some of them."""
    tensors: dict[str, Tensor] = dict(module.named_parameters()) | dict(module.named_buffers())
    tensors |= {name: tensor for name, tensor in (exact or {}).items() if name in tensors}
    return functional_call(module, {name: in_type(tensor, dtype) for name, tensor in tensors.items()}, args, kwargs)


def samples(inputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the inputs to compare on, by their description: the example, and random ones of the same shapes."""
    shapes = ", ".join(str(tuple(value.shape)) for value in inputs.values() if isinstance(value, Tensor))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        drawn = {name: _pytree.tree_map(_random, value) for name, value in inputs.items()}
    return {f"the example, {shapes}": dict(inputs), f"normal, of its mean and deviation, {shapes}, seed {SEED}": drawn}


def _random(value: Any) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.numel() < 2:
        return value
    deviation, mean = torch.std_mean(value.float())
    return (torch.randn(value.shape) * deviation.cpu() + mean.cpu()).to(value)


def errors(
    graph: ChannelGraph,
    small: nn.Module,
    inputs: Sequence[Mapping[str, Any]],
    dtype: torch.dtype,
    select: Callable[[Any], Any],
    exact: Mapping[str, Tensor],
) -> Errors:
    """Return how far the outputs of the smaller model are from those of the graph's model in one precision.

    `exact` are parameters of the smaller model before they were rounded to its type.
    """
    absolute, relative = 0.0, 0.0
    for given in inputs:
        converted = {name: _pytree.tree_map(lambda leaf: in_type(leaf, dtype), value) for name, value in given.items()}
        with undisturbed(graph.model), undisturbed(small), _full_precision(graph.model), torch.no_grad():
            torch.manual_seed(SEED)
            expected = tensors_of(select(_dense(graph, converted, dtype)))
            torch.manual_seed(SEED)
            found = tensors_of(run_in_type(small, dtype, (), converted, exact))
        for one, two in zip(expected, found, strict=True):
            error = _difference(one, two)
            scale = float(one.abs().nan_to_num(0.0, 0.0).max()) if one.numel() else 0.0
            absolute, relative = max(absolute, error), max(relative, error / scale if scale else error)
    return Errors(absolute, relative)


@contextmanager
def _full_precision(model: nn.Module) -> Iterator[None]:
    """Keep a GPU from rounding float32 to TF32 in convolutions and products."""
    if not any(parameter.is_cuda for parameter in model.parameters()):
        yield
        return
    backends, products = torch.backends.cudnn, torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with backends.flags(enabled=backends.enabled, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)


def _dense(graph: ChannelGraph, inputs: Mapping[str, Any], dtype: torch.dtype) -> Any:
    if all(tensor.dtype == dtype for tensor in graph.model.parameters()):
        return graph.model(**inputs)
    names = [node.target for node in graph.fx_graph.nodes if node.op == "placeholder" and node.target in inputs]
    return _InType(graph, dtype).run(*(inputs[str(name)] for name in names))


def tensors_of(result: Any) -> Outputs:
    """Return the tensors of a result, in order."""
    return [leaf for leaf in _pytree.tree_leaves(result) if isinstance(leaf, Tensor)]


def _difference(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape:
        raise NotExact(f"`model` should keep the shapes of its outputs. Found {found.shape} for {expected.shape}.")
    if not expected.is_floating_point():
        return float((expected != found).any()) if expected.numel() else 0.0
    same = (expected == found) | (expected.isnan() & found.isnan())
    return (
        float(torch.where(same, 0.0, (expected - found).abs()).nan_to_num(nan=float("inf")).max())
        if len(expected)
        else 0.0
    )
