"""The certificate of a removal: what was compared, how far apart the two models were, and what went."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, fx, nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.refusal import COMPUTED, COMPUTED_BIAS
from winnow.engine.graph.spaces import Slice, Space
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.forms import fixes_sizes
from winnow.engine.pruning.parts import programs_in
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.proof import FLOAT32, FLOAT64, NotExact, Proof
from winnow.engine.pruning.readers import constants_in_words, readings_in_words
from winnow.engine.pruning.shrinking import CutWeight

__all__ = ["FLOAT32", "FLOAT64", "Certificate", "NotExact"]

IN_A_PROGRAM = "a layer needs it"
IN_ONE_TENSOR = (
    "{} along axis {} is zero, and stays as part of one tensor: write each part (an expert) as a module of its own, "
    "and it can be removed"
)
WRITTEN_OVER = "writes into memory that other tensors share, so all that lies there stays"
UNUSED = "no call uses it, so that nothing is known of it"


@dataclass(frozen=True)
class Certificate:
    """The evidence that a smaller model gives the same outputs, and what was removed.

    max_error_*: the largest absolute difference in any output; relative_error_*: the largest one by the scale (the
    largest entry) of its output; relative_error_training: the same in training mode in float64, with the batch norms'
    updated statistics, None where training mode was not compared.
    inputs: what both models were run on. calls: the calls among them, each with its mode and its plain arguments, given
    or left out: the smaller model holds for these. sizes: the other sizes among them. tensors, elements: how many were
    compared in float64. open: what was not compared, and why.
    removed: one row per layer that was made smaller, with its weight's shape, parameters and columns read before and
    after. kept_for: channels that could have gone, had the program allowed it: the operation and why, layers whose
    weight is computed at each pass, so that nothing of them is cut, and zero experts that are part of one tensor.
    pinned: channels that no weight makes or reads any more, and that stay: the operation that needs them, and why.
    gathered: the layers that gather channels, and how many; folded: the layers that took over constants, how many and
    where. What they hold for these is a sum, rounded to the model's type; in float64 it is judged as computed.
    constants: the layers that still read channels which are constant in evaluation mode, and why they do not take them
    over. hollow: the operations that are dead as a whole and keep one channel, so that the program runs as it did.
    fixed_sizes: whether the smaller model takes these sizes only; fixed: where the model makes a number of a size.
    programs: the modules that became programs of their own, since their code computes a size that has changed. silent:
    the modules that gave nothing but zeros, and are replaced by zeros. sliced: those of the layers in `gathered` whose
    channels lie side by side, so that they read a slice (`engine.pruning.arranging`).
    """

    max_error_float32: float
    max_error_float64: float
    relative_error_float32: float
    relative_error_float64: float
    inputs: tuple[str, ...]
    removed: pd.DataFrame = field(compare=False)
    relative_error_training: float | None = None
    calls: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    tensors: int = 0
    elements: int = 0
    open: Mapping[str, str] = field(default_factory=dict)
    kept_for: Mapping[str, str] = field(default_factory=dict)
    gathered: Mapping[str, str] = field(default_factory=dict)
    folded: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    hollow: tuple[str, ...] = ()
    fixed_sizes: bool = False
    fixed: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    sliced: tuple[str, ...] = ()
    pinned: Mapping[str, str] = field(default_factory=dict)


def certificate_of(
    plan: Plan, small: nn.Module, cuts: Sequence[CutWeight], proof: Proof, silent: tuple[str, ...]
) -> Certificate:
    """Return the certificate of a smaller model, of which the modules `silent` became zeros."""
    words: dict[str, Any] = readings_in_words(plan.readings())
    program = isinstance(small, fx.GraphModule)
    return Certificate(
        **compared(proof),
        removed=removed(cuts, small),
        pinned={**_pinned(plan), **_as_tensors(plan.graph)},
        kept_for={**_computed(plan), **_in_one_tensor(plan.graph), **plan.kept_for},
        constants=constants_in_words(plan.liveness),
        hollow=plan.hollow,
        fixed_sizes=program and fixes_sizes(plan.graph),
        fixed=tuple(f"{one.module or 'the model'}, {one.place}: a {one.kind} decides" for one in plan.graph.decisions),
        programs=() if program else tuple(programs_in(small)),
        silent=silent,
        **words,
    )


def _computed(plan: Plan) -> dict[str, str]:
    """Return the layers whose weight is computed at each pass (masks, parametrizations): nothing of them can go."""
    pins = [pin.partition(": ") for space in plan.graph.spaces for pin in space.pins]
    return {place: reason for place, _, reason in pins if COMPUTED in reason or COMPUTED_BIAS in reason}


def _pinned(plan: Plan) -> dict[str, str]:
    """Return the operations that need idle channels, whose rows or whose columns are all zero, each with its reason."""
    tensors = dict(plan.graph.model.named_parameters(remove_duplicate=False))
    found: dict[str, str] = {}
    for space in plan.graph.spaces:
        kept = plan.liveness.kept[space.channels]
        idle = [_zero(parts, len(kept), tensors) & kept for parts in (space.writers, space.readers)]
        stays = any(flags.any() for flags in idle)
        if space.pins and (stays or (kept.any() and _one_of_many(space, plan.graph, tensors))):
            told = [pin.partition(": ") for pin in space.pins]
            found = {(place if reason else space.name): reason or place for place, _, reason in told} | found
        elif stays and not (space.inputs or space.outputs):
            found |= dict.fromkeys(_written_over(plan, space.channels[idle[0] | idle[1]]), WRITTEN_OVER)
    return found


def _written_over(plan: Plan, channels: Labels) -> Iterator[str]:
    """Yield where tensors with these channels are written into, and looked at through others."""
    carriers = plan.graph.carriers
    for step in plan.liveness.spoils:
        if any(np.isin(carriers[place].labels, channels).any() for place in (*step.carriers, *step.results)):
            yield step.place


def _zero(parts: Sequence[Slice], count: int, tensors: Mapping[str, Tensor]) -> Flags:
    """Return which of `count` channels have entries in these slices that are all zero, (count,)."""
    covered, alive = np.zeros(count, bool), np.zeros(count, bool)
    for part in (part for part in parts if part.parameter in tensors):
        tensor = tensors[part.parameter].detach().movedim(part.axis, 0)
        entries = tensor.narrow(0, part.start, part.length * part.repeat)
        own = slice(part.first, part.first + part.length)
        covered[own] = True
        alive[own] |= (entries.reshape(part.length, -1) != 0).any(1).cpu().numpy()
    found: Flags = covered & ~alive
    return found


def _one_of_many(space: Space, graph: ChannelGraph, tensors: Mapping[str, Tensor]) -> bool:
    """Whether one of several rows or columns is all zero that an operation ties into its one channel.

    They lie along an axis of what it made, then; of a flattened tensor, several could belong to one channel.
    """
    if len(space.channels) > 1 or all(part.repeat == 1 for part in space.slices):
        return False
    made = next((one.shape[1:] for one in graph.carriers if np.isin(space.channels, one.labels).all()), ())
    parts = (part for part in space.slices if part.repeat in made and part.parameter in tensors)
    matrices = {part: tensors[part.parameter] for part in parts if part.repeat > 1}
    return any(
        bool(zero_slices(weight, part.axis).narrow(0, part.start, part.length * part.repeat).any())
        for part, weight in matrices.items()
        if weight.dim() > 1
    )


def _as_tensors(graph: ChannelGraph) -> dict[str, str]:
    """Return the weights with rows or columns of zeros that are no layer's: sliced, scaled, taken apart, or unused."""
    layered, tensors = {site.parameter for site in graph.sites}, dict(graph.model.named_parameters())
    reasons = {**graph.direct, **dict.fromkeys(graph.unused, UNUSED)}
    lost = ((name, tensors[name]) for name in reasons if name not in layered and name in tensors)
    return {name: reasons[name] for name, weight in lost if _has_zeros(weight)}


def _has_zeros(weight: Tensor) -> bool:
    long = [axis for axis, length in enumerate(weight.shape) if length > 1]
    return len(long) > 1 and any(bool(zero_slices(weight, axis).any()) for axis in long)


def zero_slices(weight: Tensor, axis: int) -> Tensor:
    """Return (length,): whether all that stands at a place of an axis is exactly zero."""
    return (weight.detach().movedim(axis, 0).flatten(1) == 0).all(1)


def _in_one_tensor(graph: ChannelGraph) -> dict[str, str]:
    """Return the weights of several experts in one tensor, (E, inputs, outputs), of which whole experts are zero.

    The softmax over the experts goes on counting them, and no program could leave one out of the tensor alone.
    """
    axes: dict[str, set[int]] = defaultdict(set)
    for site in graph.sites:
        axes[site.parameter].add(site.axis)
    layers, tensors = {product.weight for product in graph.products}, dict(graph.model.named_parameters())
    found: dict[str, str] = {}
    for name in axes.keys() - layers:
        weight = tensors.get(name)
        if weight is None or len(axes[name]) < 2 or weight.dim() != len(axes[name]) + 1:
            continue
        (axis,) = set(range(weight.dim())) - axes[name]
        zero = zero_slices(weight, axis).nonzero().flatten().tolist()
        if zero:
            found[name] = IN_ONE_TENSOR.format(", ".join(map(str, zero)), axis)
    return found


def explained(program: Plan, begun: Plan, whole: Plan) -> Plan:
    """Return the plan of a program, with the reason for what stays in it though it could go from the model's class.

    `begun` is the plan before its operations were tried: what they keep has its reason already.
    """
    going = {(site.parameter, site.axis): ~whole.liveness.kept[site.channels] for site in whole.graph.sites}
    pins = {int(n): space.pins for space in begun.graph.spaces for n in space.channels}
    found: dict[str, str] = {}
    for site in begun.graph.sites:
        gone = going.get((site.parameter, site.axis), np.zeros(len(site.channels), bool))
        stays = begun.liveness.kept[site.channels] & gone
        for channel in site.channels[stays]:
            told = [pin.partition(": ") for pin in pins.get(int(channel), ())] or [(site.layer, "", IN_A_PROGRAM)]
            found |= {place: f"{reason} in a program" for place, _, reason in told}
    return replace(program, kept_for={**found, **program.kept_for})


def compared(proof: Proof) -> dict[str, Any]:
    """Return the fields of a certificate that say what was compared."""
    return {
        "max_error_float32": proof.single.absolute,
        "max_error_float64": proof.double.absolute,
        "relative_error_float32": proof.single.relative,
        "relative_error_float64": proof.double.relative,
        "relative_error_training": proof.training.relative if proof.training else None,
        "inputs": tuple(trial.words for trial in proof.took if not trial.size or trial.size.endswith(" images")),
        "calls": tuple(dict.fromkeys(trial.of for trial in proof.took)),
        "sizes": tuple(dict.fromkeys(trial.size for trial in proof.took if trial.size)),
        "tensors": proof.tensors,
        "elements": proof.elements,
        "open": dict(proof.open),
    }


def removed(cuts: Sequence[CutWeight], small: nn.Module) -> pd.DataFrame:
    """Return one row per layer that is not what it was.

    Columns: layer, shape_before and shape_after (of its weight, or of its first parameter; empty if the layer is
    gone), parameters_before, parameters_after.
    """
    left = dict(small.named_parameters())
    layers: dict[str, list[CutWeight]] = defaultdict(list)
    for cut in cuts:
        if isinstance(cut.after, nn.Parameter):
            layers[cut.name.rpartition(".")[0]].append(cut)
    rows = []
    for layer, parts in layers.items():
        names = {name for name in left if name.rpartition(".")[0] == layer}
        before, after = (
            sum(math.prod(cut.shape) for cut in parts if cut.shape),
            sum(left[name].numel() for name in names),
        )
        if before != after or any(cut.stays for cut in parts):
            first = next((cut for cut in parts if cut.name.endswith("weight")), parts[0])
            shape = _shape(left[first.name].shape) if first.name in left else ""
            rows.append([layer, _shape(first.shape), shape, before, after])
    columns = ["layer", "shape_before", "shape_after", "parameters_before", "parameters_after"]
    return pd.DataFrame(rows, columns=columns)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(str(length) for length in shape)
