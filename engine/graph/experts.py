"""Experts of a mixture (MMoE, CGC, PLE): layers whose results are weighted by a softmax over them, and summed.

m = Σ_e softmax(g(x))_e · f_e(x). Where the last layer of f_e is zero, its bias too, the expert adds exactly nothing to
any mixture, whatever its weight is. The softmax must go on counting it, for without its logit the weights of all others
would be larger. So the gate keeps its rows, and the expert's own layers go.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from winnow.engine.graph.contract_steps import Contract
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.layer_steps import DepthwiseStep, NormStep, ProductStep, StreamNormStep
from winnow.engine.graph.records import Mix
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentStep
from winnow.engine.graph.steps import Keep, Move, Opaque, Pointwise, Spoil, Step, Zero

SOFTMAX = ("softmax", "Softmax")


@dataclass(frozen=True)
class Expert:
    """An expert: its name, its last layer, and the parameters whose zeros make it give nothing, that layer's first."""

    name: str
    layer: str
    parameters: tuple[str, ...]


def experts(graph: ChannelGraph) -> tuple[Expert, ...]:
    """Return the experts of every mixture, in the order of the model's layers; a mixture has two at least.

    Examples:
        >>> from torch import nn
        >>> from winnow.engine.graph.trace import trace
        >>> class Mixture(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(2))
        ...         self.gate = nn.Linear(4, 2)
        ...     def forward(self, x):
        ...         weights = self.gate(x).softmax(-1).unsqueeze(-1)
        ...         return (weights * torch.stack([expert(x) for expert in self.experts], 1)).sum(1)
        >>> [expert.name for expert in experts(trace(Mixture(), torch.ones(1, 4)))]
        ['experts.0', 'experts.1']

    """
    takers = _takers(graph)
    gates = _gates(graph)
    if not gates:
        return ()
    of_gate: dict[int, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for product in graph.products:
        ends = tuple(name for name in (product.weight, product.bias) if name is not None)
        for gate, affine in _mixed_by(product.result, takers, gates):
            of_gate[gate].setdefault(product.layer, tuple(dict.fromkeys((*ends, *affine))))
    mixtures = [found for found in of_gate.values() if len(found) > 1]
    parameters = {layer: ends for found in mixtures for layer, ends in found.items()}
    layers = [product.layer for product in graph.products if product.layer in parameters]
    return tuple(Expert(_name(layer, layers), layer, parameters[layer]) for layer in dict.fromkeys(layers))


def _takers(graph: ChannelGraph) -> dict[int, list[Step]]:
    """Return the operations that take each tensor."""
    found: dict[int, list[Step]] = defaultdict(list)
    for step in graph.steps:
        for source in sources_of(step):
            found[source].append(step)
    return found


def sources_of(step: Step) -> tuple[int, ...]:
    """Return the tensors that an operation takes, by their numbers."""
    match step:
        case ProductStep():
            return (step.product.source,)
        case DepthwiseStep():
            return (step.layer.source,)
        case Contract():
            return tuple(factor.carrier.index for factor in step.factors)
        case Spoil():
            return step.carriers
        case RecurrentStep() | CellStep():
            return (step.wires.source, *step.wires.states)
    if (source := getattr(step, "source", None)) is not None:
        return (int(source),)
    return tuple(getattr(step, "sources", ()))


def result_of(step: Step) -> int | None:
    """Return the tensor that an operation makes, None for a note on others."""
    if isinstance(step, ProductStep):
        return step.product.result
    if isinstance(step, RecurrentStep | CellStep):
        return step.wires.results[0]
    found = step.layer.result if isinstance(step, DepthwiseStep) else getattr(step, "result", None)
    return None if found is None else int(found)


def _gates(graph: ChannelGraph) -> dict[int, int]:
    """Return {tensor: softmax} of all that is made of weights over channels, and of nothing that a layer makes since.

    A softmax over positions, as in attention, is none: it mixes no channels.
    """
    over = {flow.node for flow in graph.flows if isinstance(flow, Mix) and flow.reason.startswith(SOFTMAX)}
    found = {carrier.index: carrier.index for carrier in graph.carriers if carrier.node in over}
    for step in graph.steps:
        if isinstance(step, Move | Keep | Pointwise | Opaque):
            own = {found[source] for source in sources_of(step) if source in found}
            if len(own) == 1 and step.result not in found and _weights_alone(graph, step, found):
                found[step.result] = own.pop()
    return found


def _weights_alone(graph: ChannelGraph, step: Move | Keep | Pointwise | Opaque, gates: dict[int, int]) -> bool:
    zeros = {other.result for other in graph.steps if isinstance(other, Zero)}
    return all(source in gates or source in zeros or not graph.carriers[source].bears for source in sources_of(step))


def _mixed_by(
    start: int, takers: dict[int, list[Step]], gates: dict[int, int]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the softmax of each mixture that a layer's result enters, and the norms on its way there.

    On the way zeros stay zeros: it is moved, normed or taken through functions that are 0 at 0.
    """
    waiting: list[tuple[int, tuple[str, ...]]] = [(start, ())]
    seen: set[int] = set()
    while waiting:
        tensor, affine = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        for step in takers[tensor]:
            others = [source for source in sources_of(step) if source != tensor]
            multiplies = isinstance(step, Contract) or (isinstance(step, Pointwise) and step.absorbs)
            if multiplies and others and others[0] in gates and tensor not in gates:
                yield gates[others[0]], affine
            elif (norms := _passed(step)) is not None and (result := result_of(step)) is not None:
                waiting.append((result, (*affine, *norms)))


def _passed(step: Step) -> tuple[str, ...] | None:
    """Return the parameters that make a zero of what an operation gives for zeros; None where it gives none."""
    match step:
        case Move() if step.fill == 0:
            return ()
        case Keep() if step.kept is None or step.kept == 0:
            return ()
        case Pointwise(sources=(_,)):
            return () if bool((step.function([torch.zeros(1, dtype=torch.float64)]) == 0).all()) else None
        case NormStep() if step.scale is not None:
            return tuple(name for name in (step.scale, step.shift) if name is not None)
        case StreamNormStep() if step.affine[0] is not None:
            return tuple(name for name in step.affine if name is not None)
        case _:
            return None


def _name(layer: str, others: list[str]) -> str:
    """Return the shortest path above a layer that no other expert's layer lies under."""
    parts = layer.split(".")
    for place in range(1, len(parts) + 1):
        path = ".".join(parts[:place])
        if not any(f"{other}.".startswith(f"{path}.") for other in others if other != layer):
            return path
    return layer
