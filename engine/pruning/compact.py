"""`compact(model, example_inputs)`: trace, plan, shrink, rewrite, prove.

The smaller model is of the same class as the model where only layers changed their sizes, so that everything that
knows the class goes on working. Where the program had to change it is an `fx.GraphModule` whose layers keep their
names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn

from winnow.engine.graph.modes import undisturbed
from winnow.engine.graph.trace import named_inputs, trace
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.pruning.certificate import FLOAT32, FLOAT64, Certificate, Errors, NotExact, errors, samples
from winnow.engine.pruning.cost import Coefficients, layout_of, measured
from winnow.engine.pruning.modes import follow_mode
from winnow.engine.pruning.plan import Plan, chosen, planned
from winnow.engine.pruning.program import Program, Unfit
from winnow.engine.pruning.readers import Reading, readings_in_words
from winnow.engine.pruning.remaining import constants_in_words
from winnow.engine.pruning.removed import removed
from winnow.engine.pruning.shrinking import Cut, shrunk


@dataclass(frozen=True, eq=False)
class Compacted:
    """The smaller model, the proof that it is the same, and how each tensor was cut."""

    model: nn.Module
    certificate: Certificate
    cuts: tuple[Cut, ...]


def compact(
    model: nn.Module,
    example_inputs: Any,
    *,
    gather: Literal["auto", "always", "never"] | Coefficients = "auto",
    tasks: Sequence[str] | None = None,
    training: bool = False,
) -> Compacted:
    """Return a smaller model with the same outputs, without the channels that the weights' exact zeros make idle.

    The model itself is never modified. The smaller one trains, moves and exports as any module does, is in the mode
    that the model is in, and takes inputs of any size that the model takes (the certificate names the exception, a
    program that could only be drawn with fixed sizes). A channel that is constant in evaluation
    mode (a zero filter under batch norm) is taken over by its readers as that constant; in training mode the dense
    model would make another one of it until its running statistics have settled.

    Args:
        model: any module that `engine.graph.trace` follows.
        example_inputs: a tensor, a sequence of positional inputs, or a mapping of named ones.
        gather: whether a layer on a stream, of which it uses a part only, picks its channels and has a smaller weight:
            wherever it uses fewer, never, or where it saves time by `engine.pruning.cost`, with the coefficients
            measured on this machine ("auto") or given.
        tasks: of a model that returns a dict, the entries to keep; what only the others used goes. None: all.
        training: keep the channels that are constant in evaluation mode only, so that the smaller model is the same in
            training mode too, and trains as the model would with all that went held at zero.

    Raises:
        NotTraceable: the model's channels cannot be followed.
        NotExact: the smaller model's outputs differ from the model's by more than rounding.
        ValueError: `tasks` names what the model does not return, `gather` is none of the above.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> net[2].weight.data[:, 0] = 0  # nobody reads the first hidden channel
        >>> small = compact(net, torch.ones(1, 4))
        >>> small.model[0]
        Linear(in_features=4, out_features=2, bias=True)
        >>> small.certificate.max_error_float64 < 1e-10
        True

    """
    if not isinstance(gather, Coefficients) and gather not in ("auto", "always", "never"):
        raise ValueError(f"`gather` should be auto, always, never or Coefficients. Found {gather!r}.")
    inputs = named_inputs(model, example_inputs)
    graph = trace(model, inputs)
    mode = measured(_device(model), layout_of(model, inputs.values())) if gather == "auto" else gather
    plan = planned(graph, tasks, mode, training)
    return _certified(_built(plan, inputs), tasks, inputs)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@dataclass(frozen=True, eq=False)
class _Built:
    """A plan that fits, the shrunk copy of the model, and its program."""

    plan: Plan
    twin: nn.Module
    cuts: dict[str, Cut]
    program: Program
    readings: Mapping[str, Reading]


def _built(plan: Plan, inputs: dict[str, Any]) -> _Built:
    """Shrink and copy the program; channels for which that does not fit stay."""
    while True:
        readings = plan.readings()
        twin, cuts = shrunk(plan.graph.model, plan.liveness, readings)
        for name, constant in plan.graph.tensor_constants.items():
            setattr(twin, name, constant.clone())
        try:
            with undisturbed(twin), torch.no_grad():
                return _Built(plan, twin, cuts, Program(plan, twin, inputs, readings), readings)
        except Unfit as unfit:
            plan = plan.keeping(unfit.channels, unfit.place, unfit.reason)


def _certified(built: _Built, tasks: Sequence[str] | None, inputs: dict[str, Any]) -> Compacted:
    """Return the first form of the smaller model that is exact: its own class, then its program."""
    program = _as_program(built)
    own = None if built.program.rewritten else _as_itself(built, tasks)
    found = None
    if own is not None:
        try:
            found = _proved(built, own, tasks, inputs)
        except Exception:  # noqa: BLE001 - whatever the class does with sizes that it does not expect
            found = None
    return found or _proved(built, program, tasks, inputs)


def _proved(built: _Built, small: nn.Module, tasks: Sequence[str] | None, inputs: dict[str, Any]) -> Compacted:
    """Return a form of the smaller model with its certificate.

    Raises:
        NotExact: it has none.

    """
    select: Callable[[Any], Any] = (lambda result: result) if tasks is None else lambda result: chosen(result, tasks)
    given = samples(inputs)
    exact = {name: cut.exact for name, cut in built.cuts.items() if cut.exact is not None}
    found: dict[torch.dtype, Errors] = {}
    for dtype, bound in ((torch.float32, FLOAT32), (torch.float64, FLOAT64)):
        found[dtype] = errors(built.plan.graph, small, list(given.values()), dtype, select, exact)
        if not found[dtype].relative <= bound:
            raise NotExact(
                f"`model` should give the same outputs when compacted, within {bound:g} of their scale in {dtype}. "
                f"Found {found[dtype].relative:.2g}."
            )
    single, double = found[torch.float32], found[torch.float64]
    cuts = tuple(built.cuts.values())
    certificate = Certificate(
        max_error_float32=single.absolute,
        max_error_float64=double.absolute,
        relative_error_float32=single.relative,
        relative_error_float64=double.relative,
        inputs=tuple(given),
        removed=removed(cuts, small),
        kept_for=built.plan.kept_for,
        constants=constants_in_words(built.plan.liveness),
        hollow=built.plan.hollow,
        fixed_sizes=built.plan.graph.fixed_sizes and isinstance(small, fx.GraphModule),
        **readings_in_words(built.readings),
    )
    return Compacted(small, certificate, cuts)


def _as_program(built: _Built) -> fx.GraphModule:
    model = built.plan.graph.model
    follow_mode(built.program.fx_graph)
    small = fx.GraphModule(built.twin, built.program.fx_graph, type(model).__name__)
    modes = {name: module.training for name, module in model.named_modules()}
    for name, module in small.named_modules():
        module.training = modes.get(name, model.training)
    return small


def _as_itself(built: _Built, tasks: Sequence[str] | None) -> nn.Module | None:
    """Return the copy of the model in its own class, None where that cannot leave out the other tasks."""
    twin = built.twin
    for name in built.plan.graph.tensor_constants:
        delattr(twin, name)
    if tasks is not None:
        if not isinstance(twin, MultiTaskNet):
            return None
        for name in set(twin.heads) - set(tasks):
            del twin.heads[name]
    return twin
