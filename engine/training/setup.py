"""From a spec's penalty to what applies it: groups, penalty, controller of the strength."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.sharing import inside, parts_of
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.groups import Group, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.learned import Learned
from winnow.engine.sparsity.penalties import Penalty
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.strength import PREDICTED, Controller, Scheduled, Targeted
from winnow.engine.specs.penalty import PENALTIES, PenaltySpec
from winnow.engine.specs.registry import entry
from winnow.engine.specs.train import TrainSpec

CHANGES = 100  # of λ over a run, where a target is predicted
START = 0.1  # of the spec's strength: where λ starts when a target moves it
SCOPES = MappingProxyType({"trunk": "shared by tasks", "heads": "of one task", "both": "either"})


def build_groups(
    spec: PenaltySpec, net: nn.Module, graph: ChannelGraph, example: Tensor, trunk: Sequence[str] = ()
) -> list[Group]:
    """Return the groups of the wanted kind in the wanted part of the network, named as in the whole network.

    A coupled group belongs to the part in which its channel is written; layers of another part may read it. `trunk`
    names the shared modules of a network of the user's own; without it they are found from the graph.

    Raises:
        ValueError: no groups or no scope of that name, or a trunk that cannot be told.

    """
    entry(SCOPES, spec.scope, "scope")
    makers: Mapping[str, Callable[[Sequence[str]], list[Group]]] = {
        "input": lambda scope: [group for group in input_groups(net, graph=graph) if inside(group.layer, scope)],
        "output": lambda scope: [group for group in output_groups(net, graph=graph) if inside(group.layer, scope)],
        "coupled": lambda scope: coupled_groups(net, example, within=scope, graph=graph),
    }
    make = entry(makers, spec.groups, "groups")
    parts = parts_of(graph, trunk)
    if parts.guessed and spec.scope != "both" and (spec.strength > 0 or spec.target is not None):
        raise ValueError(
            f"`trunk` must be named for scope {spec.scope} with the single task {', '.join(graph.outputs)}, because a "
            "single task does not show what other tasks would share. Give --trunk MODULE, or --scope both."
        )
    return make(parts.within(spec.scope))


def build_penalty(spec: PenaltySpec) -> Penalty:
    """Return the penalty that the spec names, at its strength.

    Raises:
        ValueError: no penalty of that name.

    """
    kind = entry(PENALTIES, spec.penalty, "penalty")
    parameters = {name: getattr(spec, name) for name in kind.parameters}
    penalty: Penalty = kind.make.load()(spec.strength, spec.weights, **parameters)
    return penalty


def build_controller(spec: TrainSpec, proximal: Proximal, counts: Counts, steps: int) -> Controller:
    """Return what sets the strength before each step, for `steps` of them an epoch."""
    penalty, refit_from = spec.penalty, refit_step(spec, steps)
    warm_up = penalty.warm_up * steps
    if penalty.learned != "no":
        asked = (penalty.learn_every, penalty.horizon, penalty.learn_tolerance, penalty.learned)
        return Learned(proximal, penalty.strength, warm_up, refit_from, *asked)
    if penalty.target is None:
        return Scheduled(proximal, penalty.strength, warm_up, penalty.ramp * steps, refit_from)
    aim = (counts, penalty.target_of, penalty.target, warm_up, refit_from)
    every = max(1, (refit_from - warm_up) // CHANGES) if penalty.target_of in PREDICTED else 1
    return Targeted(proximal, START * penalty.strength, *aim, every=every)


def refit_step(spec: TrainSpec, steps: int) -> int:
    """Return the step from which on the zeros are kept, for `steps` of them an epoch; the last one without refit."""
    total = spec.epochs * steps
    return total - round(spec.penalty.refit_share * total)


def settled_step(spec: TrainSpec, steps: int) -> int:
    """Return the step from which on the network is what was asked for: zeros found, full strength reached."""
    if spec.penalty.refit_share > 0:
        return refit_step(spec, steps)
    return min(spec.penalty.warm_up + spec.penalty.ramp, spec.epochs - 1) * steps
