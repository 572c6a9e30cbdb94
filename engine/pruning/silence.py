"""Modules of which nothing comes but zeros: their place is taken by one that gives zeros, and their weights are gone.

An expert of a mixture whose last layer is zero, the MLP of a block whose branch is dead: with one channel left they
would run on for nothing. Only modules are replaced that take a tensor (…, C) and give one (…, D) on the same places,
since their zeros need no more than the shape of what comes in. Whether the model is the same is compared afterwards, as
for any smaller model.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call, in_modes, run
from winnow.engine.graph.experts import result_of, sources_of
from winnow.engine.graph.modes import in_mode, undisturbed
from winnow.engine.pruning.plan import Plan, above
from winnow.engine.pruning.selecting import Zeros

INSIDE = ":inside"


def silent_modules(plan: Plan, twin: nn.Module, calls: Sequence[Call]) -> dict[str, int]:
    """Return the modules of a smaller model that could be `Zeros`, with their widths, none inside another.

    Whatever leaves such a module must be zero by the weights, not just on an example.
    """
    modules = dict(twin.named_modules())
    names = [name for name in _giving_zeros(plan) if name in modules and any(True for _ in modules[name].parameters())]
    names = [name for name in names if not isinstance(modules[name], nn.MultiheadAttention) and _alone(twin, name)]
    widths: dict[str, int] = {}
    handles = [modules[name].register_forward_hook(_looking(name, widths), with_kwargs=True) for name in names]
    try:
        for call in in_modes(calls) if names else ():
            _run(twin, call)
    finally:
        for handle in handles:
            handle.remove()
    found = {name: width for name, width in widths.items() if width}
    return {name: width for name, width in sorted(found.items()) if not (above(name) - {name}) & set(found)}


def may_be_silent(plan: Plan) -> bool:
    """Whether any module could give nothing but zeros: an operation is dead as a whole, or a layer is zero."""
    return bool(plan.hollow) or any(plan.liveness.is_zero(product) for product in plan.graph.products)


def _giving_zeros(plan: Plan) -> list[str]:
    """Return the modules of which whatever is used outside is constantly zero."""
    graph, known = plan.graph, plan.liveness.known()
    path_of = {event.node: above(event.path) for event in graph.events}
    within = [path_of.get(carrier.node.removesuffix(INSIDE), set()) for carrier in graph.carriers]
    used: dict[int, list[set[str]]] = {end: [set()] for ends in graph.ends.values() for end in ends}
    for step in graph.steps:
        result = result_of(step)
        for source in sources_of(step):
            used.setdefault(source, []).append(set() if result is None else within[result])
    zero = {i for i in used if i in known and bool((known[i] == 0).all())}
    found = []
    for name in sorted(set().union(*(within[i] for i in zero))):
        leaving = [i for i, users in used.items() if name in within[i] and any(name not in paths for paths in users)]
        if leaving and zero.issuperset(leaving):
            found.append(name)
    return found


def _run(twin: nn.Module, call: Call) -> None:
    """Run a model on a call; where it does not run in training mode, nothing is seen of it."""
    with undisturbed(twin), torch.no_grad():
        state = {name: buffer.clone() for name, buffer in twin.named_buffers()}
        try:
            with in_mode(twin, bool(call.training)):
                run(twin, call.changed(lambda leaf: leaf.detach().clone()))
        except Exception:
            if not call.training:
                raise
        finally:
            for name, buffer in twin.named_buffers():
                buffer.copy_(state[name])


def _looking(name: str, widths: dict[str, int]) -> Any:
    def hook(_: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor) and isinstance(result, Tensor)
        alike = plain and args[0].dim() > 1 and args[0].shape[:-1] == result.shape[:-1]
        alike = alike and args[0].is_floating_point() and args[0].dtype == result.dtype
        fits = alike and result is not args[0] and not bool(result.any())
        widths[name] = result.shape[-1] if fits and widths.get(name) != 0 else 0

    return hook


def _alone(twin: nn.Module, path: str) -> bool:
    """Whether nothing outside of a module holds any of its parts, and no hook hangs on them."""
    whole = twin.get_submodule(path)
    parts = {id(part) for part in whole.modules()} | {id(parameter) for parameter in whole.parameters()}
    outside = (name for name, _ in _everything(twin) if name != path and not name.startswith(f"{path}."))
    held = dict(_everything(twin))
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in whole.modules())
    return not hooked and not any(id(held[name]) in parts for name in outside)


def _everything(model: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from model.named_modules(remove_duplicate=False)
    yield from model.named_parameters(remove_duplicate=False)


def silenced(twin: nn.Module, widths: Mapping[str, int]) -> nn.Module:
    """Put `Zeros` in the place of modules of a smaller model, and return it."""
    for path, width in widths.items():
        parent, _, name = path.rpartition(".")
        layer = Zeros(width)
        layer.training = twin.get_submodule(path).training
        setattr(twin.get_submodule(parent), name, layer)
    return twin
