"""Parts of a model as programs, where their code computes a size that has changed; the rest keeps its class.

`x.reshape(b, n, 3, self.h, c // self.h)` takes the width of a head from the width of the stream, which has not changed.
No attribute can put that right, so the module that says it is drawn alone, on what it is called with, and its sizes are
rewritten. The whole is compared with the model as any smaller model is.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import undisturbed
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.fitting import Unfit, fit_all
from winnow.engine.pruning.forms import as_program, fixes_sizes
from winnow.engine.pruning.naming import changing_sizes
from winnow.engine.pruning.plan import Plan, above
from winnow.engine.pruning.program import Program


def missing(plan: Plan, twin: nn.Module, calls: Sequence[Call], parts: Mapping[str, Call]) -> dict[str, Call]:
    """Draw parts of a shrunk copy, and return what else must be drawn for it to run, with what that is called with.

    Raises:
        Unfit: an operation does not run with fewer channels, and no part of its own can be drawn.

    """
    try:
        with_programs(plan, twin, parts)
        fit_all(plan, twin, calls, tuple(parts))
        return {}
    except Unfit as unfit:
        new = [path for path in like(plan, unfit.path) if path not in parts]
        if not new:
            raise
        return calls_of(plan.graph.model, new, calls[0])


def like(plan: Plan, path: str) -> list[str]:
    """Return the module at a path, and those of its class, in which sizes change; none where it is the model itself."""
    modules = dict(plan.graph.model.named_modules())
    while path and type(modules[path]).__module__.startswith("torch.nn"):
        path = path.rpartition(".")[0]
    if not path:
        return []
    changing = {name for place in changing_sizes(plan) for name in above(place)}
    return [name for name in sorted(changing) if type(modules.get(name)) is type(modules[path])]


def with_programs(plan: Plan, twin: nn.Module, parts: Mapping[str, Call]) -> None:
    """Put programs in the place of modules of a shrunk copy; `parts` says what each is called with.

    Raises:
        Unfit: a module cannot be drawn for every size, or does not run with fewer channels.

    """
    for path, call in parts.items():
        parent, _, name = path.rpartition(".")
        setattr(twin.get_submodule(parent), name, _drawn(plan, twin, path, call))


def programs_in(small: nn.Module) -> list[str]:
    """Return the paths of the parts of a model that are programs."""
    return [path for path, module in small.named_modules() if path and isinstance(module, fx.GraphModule)]


def _drawn(plan: Plan, twin: nn.Module, path: str, call: Call) -> nn.Module:
    whole = plan.graph.model.get_submodule(path)
    nobody = np.zeros(1, np.int64)
    try:
        graph = trace(whole, call, program=True)
    except (NotTraceable, ValueError) as error:
        raise Unfit(path, str(error), nobody) from error
    if graph.program is None or graph.contexts or fixes_sizes(graph):
        raise Unfit(path, "it cannot be drawn for every size", nobody)
    kept, width = _kept(plan, graph, path)
    liveness = copy.copy(graph.liveness())
    liveness.kept = kept
    part = Plan(graph, liveness, runs="program")
    small = twin.get_submodule(path)
    given = call.changed(lambda leaf: _narrowed(leaf, width)).named(whole).items()
    inputs = {name: value for name, (how, value) in given if how == "given"}
    for name, constant in graph.tensor_constants.items():
        setattr(small, name, constant.clone())
    with undisturbed(small), torch.no_grad():
        program = Program(part, small, inputs)
    return as_program(part, small, program, call)


def _kept(plan: Plan, graph: ChannelGraph, path: str) -> tuple[Flags, Flags]:
    """Return which channels of a part stay, and which of the stream that it reads, (C,).

    Both are those that stay in the whole, by the parameters that list them. Alone, a part does not know the channels of
    its input: they are one to it, of which some entries go.
    """
    kept, width = np.ones(graph.count, bool), np.ones(0, bool)
    whole = {(site.parameter, site.axis): site for site in plan.graph.sites}
    for site in graph.sites:
        known = whole.get((f"{path}.{site.parameter}", site.axis))
        if known is None:
            continue
        stays = plan.liveness.kept[known.channels]
        torn = np.isin(site.channels, site.channels[stays])
        kept[site.channels[~torn]] = False
        if site.role == "reader" and (torn & ~stays).any():
            width = stays
    return kept, width


def _narrowed(leaf: Tensor, width: Flags) -> Tensor:
    """Return a tensor with the channels of the stream that stay, if it is one."""
    if not leaf.dim() or leaf.shape[-1] != len(width):
        return leaf
    return leaf.index_select(-1, torch.from_numpy(np.flatnonzero(width)).to(leaf.device))


def calls_of(model: nn.Module, paths: Sequence[str], call: Call) -> dict[str, Call]:
    """Return what modules are called with first when a model runs on a call in evaluation mode."""
    found: dict[str, Call] = {}

    def note(path: str) -> Any:
        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
            found.setdefault(path, Call(args, kwargs).changed(lambda leaf: leaf.detach().clone()))

        return hook

    handles = [model.get_submodule(path).register_forward_pre_hook(note(path), with_kwargs=True) for path in paths]
    try:
        with undisturbed(model), torch.no_grad():
            run(model, call.changed(lambda leaf: leaf.detach().clone()))
    finally:
        for handle in handles:
            handle.remove()
    return found
