"""`trace(model, example_inputs)`: the model runs once on the example, and its channel graph is drawn.

The pass is one for inference: no gradients, evaluation mode, the random state put back; mode, weights and buffers are
what they were, and nothing stays hooked. A second, plain pass judges the first: the traced program must give the very
outputs that the model gives.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.building import built
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import undisturbed
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.running import Running
from winnow.engine.graph.tracer import RunningTracer

DIFFERENT = "the traced program gives other outputs than the model, so look for hooks, isinstance or in-place tricks"
LIMITS = "torch.fx cannot draw it, so write it with tensors, sizes and options"


def trace(model: nn.Module, example_inputs: Any) -> ChannelGraph:
    """Return the channel graph of a model.

    Args:
        model: any module whose forward returns tensors, in tuples, lists or dicts as it likes.
        example_inputs: a tensor, a sequence of positional inputs, or a mapping of named ones.

    Raises:
        NotTraceable: an operation on channels is not understood, or the flow of control depends on values.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> graph = trace(net, torch.ones(1, 4))
        >>> int(graph.channels()["removable"].sum())  # every weight is in use
        0

    """
    inputs = named_inputs(model, example_inputs)
    with undisturbed(model), torch.no_grad():
        state = torch.get_rng_state()
        expected = model(**inputs)
        torch.set_rng_state(state)
        tracer, fx_graph, constants = _drawn(model, inputs)
    if not _equal(expected, _values(tracer.result)):
        raise NotTraceable("", "a program that fx does not see whole", DIFFERENT)
    return built(model, tracer, fx_graph, constants)


def named_inputs(model: nn.Module, example_inputs: Any) -> dict[str, Any]:
    """Return example inputs by the names of the forward pass's arguments."""
    if isinstance(example_inputs, Mapping):
        return dict(example_inputs)
    positional = example_inputs if isinstance(example_inputs, tuple | list) else (example_inputs,)
    return dict(inspect.signature(model.forward).bind(*positional).arguments)


def _images(inputs: Mapping[str, Any]) -> int:
    tensors = [value for value in inputs.values() if isinstance(value, Tensor) and value.dim() > 1]
    return max(len(tensors[0]), 1) if tensors else 1


def _drawn(model: nn.Module, inputs: dict[str, Any]) -> tuple[RunningTracer, fx.Graph, dict[str, Tensor]]:
    """Return the tracer, its graph and the tensors that it keeps; sizes are fixed only where nothing else helps."""
    state = torch.get_rng_state()
    try:
        return _attempt(model, RunningTracer(Recording(model, _images(inputs)), inputs))
    except NotTraceable:
        raise
    except Exception:  # noqa: BLE001 - whatever fx does not take, plain numbers may help
        torch.set_rng_state(state)
    tracer = RunningTracer(Recording(model, _images(inputs)), inputs, fixed_sizes=True)
    try:
        return _attempt(model, tracer)
    except NotTraceable:
        raise
    except Exception as error:
        raise NotTraceable(tracer.path, f"`{type(error).__name__}: {error}`", LIMITS) from error


def _attempt(model: nn.Module, tracer: RunningTracer) -> tuple[RunningTracer, fx.Graph, dict[str, Tensor]]:
    before = set(vars(model))
    try:
        fx_graph = tracer.trace(model)
        return tracer, fx_graph, {name: vars(model)[name] for name in set(vars(model)) - before}
    finally:
        for name in set(vars(model)) - before:
            delattr(model, name)


def _values(result: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda leaf: leaf.concrete if isinstance(leaf, Running) else leaf, result)


def _equal(expected: Any, found: Any) -> bool:
    pairs = zip(*(torch.utils._pytree.tree_leaves(part) for part in (expected, found)), strict=True)
    return all(
        torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)
        for one, other in pairs
        if isinstance(one, Tensor) and isinstance(other, Tensor) and one.is_floating_point()
    )
