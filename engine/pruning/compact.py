"""`compact(model, example_inputs)`: trace, plan, shrink, prove; rewrite only where nothing else is exact.

The smaller model is of the same class as the model where only layers change their sizes, so that everything that knows
the class goes on working. Where the code names sizes that change, it is an `fx.GraphModule` whose layers keep their
names, if one program holds for every call; else the model keeps its class, and the channels at these sizes stay.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

from torch import fx, nn

from winnow.engine.graph.calls import Call, calls, in_modes
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.arranging import Arranged, arranged
from winnow.engine.pruning.blocks import Blocks, blocks_of
from winnow.engine.pruning.certificate import Certificate, certificate_of, explained
from winnow.engine.pruning.cost import Coefficients, device_of, layout_of, measured_cost
from winnow.engine.pruning.fitting import Unfit, fit_all, kept_around, settle_shapes
from winnow.engine.pruning.forms import (
    KeepTasks,
    fixes_sizes,
    may_be_silent,
    smaller_program,
    without_others,
    without_silent,
)
from winnow.engine.pruning.gradients import same_gradients, where_asked
from winnow.engine.pruning.guards import guarded
from winnow.engine.pruning.naming import Naming, named_numbers, namings, rewrite
from winnow.engine.pruning.parts import missing
from winnow.engine.pruning.plan import Plan, depends_on_mode, planned, untouched
from winnow.engine.pruning.proof import NotExact, Pair, Proof, proved
from winnow.engine.pruning.readers import GatherMode
from winnow.engine.pruning.shrinking import CutWeight, rooted, shrunk
from winnow.engine.pruning.sizes import fit_layers
from winnow.engine.pruning.trials import few_trials

EVALUATION_ONLY = (
    "some channels are constant in evaluation mode only: compact(…, training=True) keeps them, and compares both modes"
)


@dataclass(frozen=True, eq=False)
class Compacted:
    """The smaller model, the evidence that its outputs are the same, and how each tensor was cut."""

    model: nn.Module
    certificate: Certificate
    cuts: tuple[CutWeight, ...]


def compact(  # noqa: PLR0913 - each option stands alone
    model: nn.Module,
    example_inputs: Any,
    *,
    gather: Literal["auto", "always", "never"] | Coefficients = "auto",
    tasks: Sequence[str] | None = None,
    training: bool = False,
    keep_modules: bool = False,
    round_to: Literal["auto"] | int | None = None,
) -> Compacted:
    """Return a smaller model with the same outputs, without the channels that exact zeros in its weights make idle.

    The model is never modified. The smaller one is in its mode, and takes any size that it takes (the certificate names
    the exception, a program of fixed sizes). A plain argument that no call of the certificate has is refused. Both
    modes are compared, but where a channel is constant in evaluation mode alone (a zero filter under batch norm): its
    readers take over that constant, and in training mode the model makes another until its statistics settle.

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
        keep_modules: keep modules that give nothing but zeros, with one channel, and not `selecting.Zeros` for them.
        round_to: keep the best of the channels that could go, free to be trained, up to multiples of a number, or up
            to the widths that cost no time on this machine ("auto", `engine.pruning.blocks`). None: keep none.

    Raises:
        NotTraceable: the model's channels cannot be followed.
        NotExact: the smaller model's outputs differ from the model's by more than rounding.
        ValueError: `tasks` names what the model does not return, `gather` or `round_to` is none of the above.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> net[2].weight.data[:, 0] = 0  # nobody reads the first hidden channel
        >>> small = compact(net, torch.ones(1, 4))
        >>> small.model[0].out_features
        2
        >>> small.certificate.max_error_float64 < 1e-10
        True

    """
    if not isinstance(gather, Coefficients) and gather not in ("auto", "always", "never"):
        raise ValueError(f"`gather` must be auto, always, never or Coefficients, got {gather!r}. Choose one of them.")
    model, _ = unwrapped(model)
    given = calls(model, example_inputs)
    graph = untouched(model, given)
    place = device_of(model), layout_of(model, (leaf for call in given for _, leaf in call.tensors()))
    mode = measured_cost(*place) if gather == "auto" else gather
    training = training or any(call.training for call in given)
    found = _Compaction(graph, given, tasks, mode, training, keep_modules, blocks_of(round_to, *place)).found()
    rooted(found.cuts, model)  # the graph may be that of a copy
    return found


class _NoProgram(NotExact):
    """The model has no program of the kind that was asked for; why another form failed says more."""


@dataclass(frozen=True, eq=False)
class _Built:
    """A plan that fits, the shrunk copy of the model, and how it was cut."""

    plan: Plan
    small: nn.Module
    cuts: dict[str, CutWeight]
    sliced: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Compaction:
    """The forms of one smaller model, tried in order until one is proved."""

    graph: ChannelGraph
    calls: tuple[Call, ...]
    tasks: Sequence[str] | None
    gather: GatherMode
    training: bool
    keep_modules: bool = False
    blocks: Blocks | None = None

    def found(self) -> Compacted:
        """Return the first form that is exact; raise `NotExact` where none is."""
        last: Exception | None = None
        for form in self._forms():
            try:
                return form()
            except _NoProgram as error:
                last = last or error
            except (NotExact, Unfit) as error:
                last = error
        if isinstance(last, NotExact):
            raise last
        raise NotExact(f"`model` must have a smaller form, got none ({last}). Keep the model as it is.") from last

    def _forms(self) -> Iterator[Callable[[], Compacted]]:
        """Yield the ways to a smaller model: those in its own class, a program, its own class with more channels."""
        if self.tasks is not None:
            yield partial(self._without_others, self.tasks, emptied=False)
            yield partial(self._without_others, self.tasks, emptied=True)
        ways, order = namings(self._plan), arranged(self._plan.running("all"))
        orders = (order, None) if order.starts else (None,)
        if self.tasks is None and not self.keep_modules and may_be_silent(self._plan.running("all")):
            yield from (partial(self._without_silent, naming, order) for naming in ways for order in orders)
        yield from (partial(self._as_itself, naming, order) for naming in ways for order in orders)
        yield partial(self._in_parts, ways[0])
        yield partial(self._as_program_or_itself, ways)
        yield from (partial(self._as_it_fits, naming) for naming in dict.fromkeys((ways[0], ways[-1])))
        yield partial(self._as_program, fixed=True)

    @cached_property
    def _plan(self) -> Plan:
        return planned(self.graph, self.tasks, self.gather, self.training, self.blocks)

    @cached_property
    def _both(self) -> bool:
        """Whether both modes must agree: no channel goes that is constant in evaluation mode alone."""
        if self.training or not depends_on_mode(self._plan):
            return True
        held = planned(self.graph, self.tasks, self.gather, True, self.blocks)
        return bool((held.liveness.kept == self._plan.liveness.kept).all()) and not self._plan.liveness.folded

    def _shrunk(self, plan: Plan, naming: Naming = "none", order: Arranged | None = None) -> _Built:
        readings = plan.readings() if order is None else order.readings
        twin, cuts = shrunk(plan.graph.model, plan.liveness, readings, order)
        fit_layers(twin, plan.graph.model)
        settle_shapes(plan.graph, twin, plan.liveness.kept)
        rewrite(twin, named_numbers(plan, naming))
        return _Built(plan, twin, cuts, tuple(order.starts) if order else ())

    def _without_others(self, tasks: Sequence[str], emptied: bool) -> Compacted:
        built = self._shrunk(self._plan)
        without_others(built.small, built.plan, tasks, emptied)
        return self._proved(built)

    def _as_itself(self, naming: Naming, order: Arranged | None = None) -> Compacted:
        built = self._shrunk(self._plan.running("all"), naming, order)
        fit_all(built.plan, built.small, self.calls)
        return self._own(built)

    def _without_silent(self, naming: Naming, order: Arranged | None = None) -> Compacted:
        built = self._shrunk(self._plan.running("all"), naming, order)
        fit_all(built.plan, built.small, self.calls)
        plan, silent = without_silent(built.plan, built.small, self.calls)
        return self._own(replace(built, plan=plan), silent)

    def _in_parts(self, naming: Naming) -> Compacted:
        """Draw those modules alone whose code computes a size that has changed."""
        plan, parts = self._plan.running("all"), dict[str, Call]()
        while True:
            built = self._shrunk(plan, naming)
            if not (new := missing(plan, built.small, self.calls, parts)):
                return self._own(built)
            parts |= new

    def _as_it_fits(self, naming: Naming) -> Compacted:
        """Keep the channels at every operation that does not run with fewer."""
        plan = self._plan.running("all")
        while True:
            built = self._shrunk(plan, naming)
            try:
                fit_all(plan, built.small, self.calls)
                return self._own(built)
            except Unfit as unfit:
                plan = kept_around(plan, unfit)

    def _own(self, built: _Built, silent: Sequence[str] = ()) -> Compacted:
        if self.tasks is not None:
            built.small.register_forward_hook(KeepTasks(self.tasks))
        return self._proved(built, silent)

    def _as_program_or_itself(self, ways: Sequence[Naming]) -> Compacted:
        """Return the program for every size, or the model's own class where that loses more than the program."""
        program, ideal = self._as_program(fixed=False), self._shrunk(self._plan.running("all")).small
        if _size(program.model) <= _size(ideal):
            return program
        try:
            own = self._as_it_fits(ways[0])
        except (NotExact, Unfit):
            return program
        return own if _size(own.model) < _size(program.model) else program

    def _as_program(self, fixed: bool) -> Compacted:
        """Return the program, if it also follows the mode where the smaller model itself may not be compared in it.

        One that holds for the example's sizes alone is taken only if nothing else is exact (`fixed`).
        """
        try:
            graph = trace(self.graph.model, self.calls, program=True)
        except NotTraceable as error:
            raise NotExact(str(error)) from error
        if graph.program is None:
            raise _NoProgram(f"`model` must have a program, got none: {'; '.join(graph.notes)}.")
        if fixes_sizes(graph) is not fixed:
            raise _NoProgram(
                f"`model` must have a program for {'every size' if not fixed else 'one size'}, got another."
            )
        if graph.contexts:
            raise _NoProgram(f"`model` must run in one context as a program, got {graph.contexts[0].kind}.")
        if not self._both:
            held = planned(graph, self.tasks, self.gather, True, self.blocks)
            self._proof(
                _Built(*smaller_program(held, self.calls[0])), [call for call in in_modes(self.calls) if call.training]
            )
        begun = planned(graph, self.tasks, self.gather, self.training, self.blocks)
        built = _Built(*smaller_program(begun, self.calls[0]))
        same_gradients(graph.model, built.small, self.calls)
        return self._proved(_Built(explained(built.plan, begun, self._plan), built.small, built.cuts))

    def _proof(self, built: _Built, compared_on: Sequence[Call]) -> Proof:
        exact = {name: cut.exact for name, cut in built.cuts.items() if cut.exact is not None}
        graph = built.plan.graph
        pair, program = Pair(graph.model, built.small, exact, self.tasks), isinstance(built.small, fx.GraphModule)
        sizes = not (program and fixes_sizes(graph))
        with where_asked(graph.contexts) as gradients:
            if gradients:
                proved(pair, few_trials(graph.model, compared_on, sizes), gradients=True)
        return proved(pair, few_trials(graph.model, compared_on, sizes), graph.modes_alike)

    def _proved(self, built: _Built, silent: Sequence[str] = ()) -> Compacted:
        """Return a form of the smaller model with its certificate.

        Raises:
            NotExact: it has none.

        """
        modes = self.calls if self._both else [call for call in in_modes(self.calls) if not call.training]
        proof = self._proof(built, modes)
        if not self._both:
            proof.open["training mode"] = EVALUATION_ONLY
        plan, small, cuts = built.plan, built.small, tuple(built.cuts.values())
        certificate = replace(certificate_of(plan, small, cuts, proof, tuple(silent)), sliced=built.sliced)
        if not isinstance(small, fx.GraphModule) and (silent or any(cut.stays for cut in cuts)):
            guarded(small, plan.graph.model, self.calls)
        return Compacted(small, certificate, cuts)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
