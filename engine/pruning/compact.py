"""`compact(model, example_inputs)`: trace, plan, shrink, prove; rewrite only where nothing else is exact.

The smaller model is of the same class as the model where only layers change their sizes, so that everything that knows
the class goes on working. Where the code names sizes that change, it is an `fx.GraphModule` whose layers keep their
names, if one program holds for every call; else the model keeps its class, and the channels at these sizes stay.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import fx, nn

from winnow.engine.graph.calls import Call, calls
from winnow.engine.graph.trace import trace, undisturbed
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.certificate import Certificate, compared, removed
from winnow.engine.pruning.cost import Coefficients, layout_of, measured
from winnow.engine.pruning.forms import KeepTasks, as_program, own_class, without_others
from winnow.engine.pruning.gradients import same_gradients
from winnow.engine.pruning.guards import guarded
from winnow.engine.pruning.plan import Plan, planned
from winnow.engine.pruning.program import Program, Unfit
from winnow.engine.pruning.proof import NotExact, Pair, Proof, proved
from winnow.engine.pruning.readers import Reading, constants_in_words, readings_in_words
from winnow.engine.pruning.shrinking import Cut, shrunk
from winnow.engine.pruning.trials import trials

EVALUATION_ONLY = (
    "some channels are constant in evaluation mode only: compact(…, training=True) keeps them, and compares both modes"
)


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
    program that could only be drawn with fixed sizes). It holds for the calls of the certificate: a plain argument
    that none of them has is refused when it comes. Both modes are compared, but where a channel is constant in
    evaluation mode alone (a zero filter under batch norm): its readers take it over as that constant, and in training
    mode the dense model would make another one of it until its running statistics have settled.

    Args:
        model: any module that `engine.graph.trace` follows.
        example_inputs: a tensor, a sequence of positional inputs, a mapping of named ones, or one or several
            `engine.graph.calls.Call`, each with its plain arguments and its mode.
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

    """
    if not isinstance(gather, Coefficients) and gather not in ("auto", "always", "never"):
        raise ValueError(f"`gather` must be auto, always, never or Coefficients, got {gather!r}. Choose one of them.")
    model, _ = unwrapped(model)
    given = calls(model, example_inputs)
    graph = trace(model, example_inputs)
    tensors = (leaf for call in given for _, leaf in call.tensors())
    mode = measured(_device(model), layout_of(model, tensors)) if gather == "auto" else gather
    training = training or any(call.training for call in given)
    plan = planned(graph, tasks, mode, training)
    held = plan if training else planned(graph, tasks, mode, training=True)
    same = bool((held.liveness.kept == plan.liveness.kept).all()) and not plan.liveness.folded
    return _Compaction(given, tasks, plan, held, same or training).found()


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@dataclass(frozen=True, eq=False)
class _Built:
    """A plan that fits, the shrunk copy of the model, and its program."""

    plan: Plan
    twin: nn.Module
    cuts: dict[str, Cut]
    program: Program
    readings: dict[str, Reading]


@dataclass(frozen=True, eq=False)
class _Compaction:
    """The forms of one smaller model, tried in order until one is proved.

    `held` is the plan without the constants of evaluation mode; `both`: whether both modes must agree.
    """

    calls: tuple[Call, ...]
    tasks: Sequence[str] | None
    plan: Plan
    held: Plan
    both: bool

    def found(self) -> Compacted:
        """Return the first form that is exact.

        Raises:
            NotExact: none is.

        """
        last: Exception | None = None
        for form in self._forms():
            try:
                return form()
            except NotExact as error:
                last = error
        raise last or NotExact("`model` must have a smaller form, got none. Keep the model as it is.")

    def _forms(self) -> Iterator[Callable[[], Compacted]]:
        """Yield the ways to a smaller model: those in its own class, a program, its own class with numbers kept."""
        built = self._built(self.plan)
        fitting = not built.program.rewritten
        if self.tasks is not None and fitting:
            yield partial(self._without_others, built, self.tasks, emptied=False)
            yield partial(self._without_others, built, self.tasks, emptied=True)
        whole = self._built(self.plan.whole())
        if not whole.program.rewritten:
            yield partial(self._as_itself, whole)
        yield partial(self._as_program, built)
        yield lambda: self._as_itself(self._built(self.plan.whole(), rewriting=False))

    def _built(self, plan: Plan, rewriting: bool = True) -> _Built:
        """Shrink and copy the program; channels for which that does not fit stay."""
        inputs = {name: value for name, (how, value) in self.calls[0].named(plan.graph.model).items() if how == "given"}
        while True:
            readings = plan.readings()
            twin, cuts = shrunk(plan.graph.model, plan.liveness, readings)
            for name, constant in plan.graph.tensor_constants.items():
                setattr(twin, name, constant.clone())
            try:
                with undisturbed(twin), torch.no_grad():
                    return _Built(plan, twin, cuts, Program(plan, twin, inputs, rewriting), readings)
            except Unfit as unfit:
                plan = plan.keeping(unfit.channels, unfit.place, unfit.reason)

    def _without_others(self, built: _Built, tasks: Sequence[str], emptied: bool) -> Compacted:
        small = own_class(copy.deepcopy(built.twin), built.plan)
        return self._proved(built, without_others(small, built.plan, tasks, emptied))

    def _as_itself(self, built: _Built) -> Compacted:
        small = own_class(built.twin, built.plan)
        if self.tasks is not None:
            small.register_forward_hook(KeepTasks(self.tasks))
        return self._proved(built, small)

    def _as_program(self, built: _Built) -> Compacted:
        """Return the program, if it also follows the mode where the smaller model itself may not be compared in it."""
        if not self.both:
            held = self._built(self.held)
            program = as_program(held.plan, held.twin, held.program, self.calls[0])
            self._proof(held, program, [call for call in self._modes() if call.training])
        small = as_program(built.plan, built.twin, built.program, self.calls[0])
        same_gradients(built.plan.graph.model, small, self.calls)
        return self._proved(built, small)

    def _modes(self) -> list[Call]:
        return [each for call in self.calls for each in call.modes()]

    def _proof(self, built: _Built, small: nn.Module, compared_on: Sequence[Call]) -> Proof:
        exact = {name: cut.exact for name, cut in built.cuts.items() if cut.exact is not None}
        stays = {name: cut.stays for name, cut in built.cuts.items()}
        model = built.plan.graph.model
        sizes = not (isinstance(small, fx.GraphModule) and built.plan.graph.fixed_sizes)
        return proved(Pair(model, small, exact, stays, self.tasks), trials(model, compared_on, sizes))

    def _proved(self, built: _Built, small: nn.Module) -> Compacted:
        """Return a form of the smaller model with its certificate.

        Raises:
            NotExact: it has none.

        """
        modes = self.calls if self.both else [call for call in self._modes() if not call.training]
        proof = self._proof(built, small, modes)
        if not self.both:
            proof.open["training mode"] = EVALUATION_ONLY
        plan, cuts = built.plan, tuple(built.cuts.values())
        certificate = Certificate(
            **compared(plan.graph.model, proof),
            removed=removed(cuts, small),
            kept_for=plan.kept_for,
            constants=constants_in_words(plan.liveness),
            hollow=plan.hollow,
            fixed_sizes=plan.graph.fixed_sizes and isinstance(small, fx.GraphModule),
            **readings_in_words(built.readings),
        )
        changed = any(cut.stays for cut in cuts)
        if changed and not isinstance(small, fx.GraphModule):
            guarded(small, plan.graph.model, self.calls)
        return Compacted(small, certificate, cuts)
