"""The program of a model, drawn by torch.fx beside the graph, for those who rewrite it.

It is drawn for evaluation mode on one call, and not every model can be drawn. What it says must be what the model
says: its outputs are compared with those of the plain pass.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.running import Running, sizes_drawn
from winnow.engine.graph.tracer import RunningTracer

DIFFERENT = "the traced program gives other outputs than the model, so look for hooks, isinstance or in-place tricks"
LIMITS = "torch.fx cannot draw it, so write it with tensors, sizes and options"


@dataclass(frozen=True, eq=False)
class Drawn:
    """A program, the tensors that it keeps besides the model's, and its ends as carriers."""

    fx_graph: fx.Graph
    constants: dict[str, Tensor]
    fixed_sizes: bool
    inputs: dict[str, Any]
    result: Any


def drawn(model: nn.Module, recording: Recording, call: Call, expected: Any) -> Drawn:
    """Return the program of a model, entered in a recording; sizes are fixed only where nothing else helps.

    Raises:
        NotTraceable: torch.fx cannot draw it.

    """
    inputs = {name: value for name, (how, value) in call.named(model).items() if how == "given"}
    state = torch.get_rng_state()
    try:
        return _judged(_attempt(model, RunningTracer(recording, inputs)), expected)
    except NotTraceable:
        raise
    except Exception:  # noqa: BLE001 - whatever fx does not take, plain numbers may help
        torch.set_rng_state(state)
    tracer = RunningTracer(recording, inputs, fixed_sizes=True)
    try:
        return _judged(_attempt(model, tracer), expected)
    except NotTraceable:
        raise
    except Exception as error:
        raise NotTraceable(tracer.path, f"`{type(error).__name__}: {error}`", LIMITS) from error


def _attempt(model: nn.Module, tracer: RunningTracer) -> tuple[RunningTracer, Drawn]:
    before = set(vars(model))
    try:
        with sizes_drawn(model):
            fx_graph = tracer.trace(model)
        constants = {name: vars(model)[name] for name in set(vars(model)) - before}
        return tracer, Drawn(
            fx_graph, constants, tracer.fixed_sizes or bool(tracer.frozen), tracer.input_carriers, tracer.result
        )
    finally:
        for name in set(vars(model)) - before:
            delattr(model, name)


def _judged(attempt: tuple[RunningTracer, Drawn], expected: Any) -> Drawn:
    tracer, found = attempt
    result = torch.utils._pytree.tree_map(
        lambda leaf: leaf.concrete if isinstance(leaf, Running) else leaf, tracer.result
    )
    one, other = dict(flatten(expected)), dict(flatten(result))
    same = one.keys() == other.keys() and all(
        torch.allclose(tensor, other[name], rtol=1e-4, atol=1e-6, equal_nan=True)
        for name, tensor in one.items()
        if tensor.is_floating_point()
    )
    if not same:
        raise NotTraceable("", "a program that fx does not see whole", DIFFERENT)
    return found
