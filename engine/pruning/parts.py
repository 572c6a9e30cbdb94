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
from torch import fx, nn

from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import undisturbed
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.trace import trace
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.fitting import Unfit
from winnow.engine.pruning.forms import as_program, fixes_sizes
from winnow.engine.pruning.naming import changing_sizes
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.program import Program


def like(plan: Plan, path: str) -> list[str]:
    """Return the module at a path, and those of its class, in which sizes change; none where it is the model itself."""
    modules = dict(plan.graph.model.named_modules())
    while path and type(modules[path]).__module__.startswith("torch.nn"):
        path = path.rpartition(".")[0]
    kind = type(modules[path])
    return [name for name in changing_sizes(plan) if name and type(modules.get(name)) is kind] if path else []


def replaced(plan: Plan, twin: nn.Module, parts: Mapping[str, Call]) -> None:
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
    liveness = copy.copy(graph.liveness())
    liveness.kept = _kept(plan, graph, path)
    part = Plan(graph, liveness, runs="program")
    small = twin.get_submodule(path)
    inputs = {name: value for name, (how, value) in call.named(whole).items() if how == "given"}
    for name, constant in graph.tensor_constants.items():
        setattr(small, name, constant.clone())
    with undisturbed(small), torch.no_grad():
        program = Program(part, small, inputs)
    return as_program(part, small, program, call)


def _kept(plan: Plan, graph: ChannelGraph, path: str) -> Flags:
    """Return which channels of a part stay: those that stay in the whole, by the parameters that list them."""
    kept = np.ones(graph.count, bool)
    whole = {(site.parameter, site.axis): site for site in plan.graph.sites}
    for site in graph.sites:
        known = whole.get((f"{path}.{site.parameter}", site.axis))
        if known is not None:
            kept[site.channels[~plan.liveness.kept[known.channels]]] = False
    return kept


def called(model: nn.Module, paths: Sequence[str], call: Call) -> dict[str, Call]:
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
