"""One program for both modes, where they differ only in what is told of the mode; else a program for each.

`F.dropout(x, p, self.training)` is drawn with False in evaluation mode and with True in training mode: a step asks
for the mode there. A branch on the mode gives two programs that cannot be one.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from winnow.engine.export.drawing import PATH, DrawnGraph
from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.copies import held_tensors
from winnow.engine.graph.modes import has_own_modes
from winnow.engine.pruning.precision import private


def refuse_fused(model: nn.Module) -> None:
    """Refuse a model whose `train` or `eval` computes tensors from its parameters, as branches that are fused.

    A rebuilt model would keep them as they were saved, and go on using them once it is trained.

    Raises:
        NotDescribable: it does.

    """
    if not any(map(has_own_modes, model.modules())):
        return
    twin = private(model)
    own = [(path, module) for path, module in twin.named_modules() if has_own_modes(module)]
    before = [_made_by_modes(module) for _, module in own]
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.is_floating_point() or parameter.is_complex():  # zeros change too, and no two alike
                drawn = torch.rand(parameter.shape, generator=random, dtype=torch.float64)
                parameter.mul_(1.5).add_((drawn + 0.5).to(parameter))
    after = [_made_by_modes(module) for _, module in own]
    for (path, module), one, two in reversed(list(zip(own, before, after, strict=True))):  # a part before its whole
        if not _alike(one, two):
            raise NotDescribable(
                "`model` must compute its weights nowhere but in its layers, got a `train` of its own that computes "
                f"tensors from parameters at `{path}`, a {type(module).__name__}. Fuse them for good, or keep the code "
                "and save its state_dict()."
            )


def _alike(one: list[Tensor], two: list[Tensor]) -> bool:
    same = len(one) == len(two) and all(first.shape == second.shape for first, second in zip(one, two, strict=True))
    return same and all(map(torch.equal, one, two))


def _made_by_modes(module: nn.Module) -> list[Tensor]:
    """Return all that a module holds besides parameters, after it was put into training and into evaluation mode."""
    module.train()
    module.eval()
    parameters = {id(parameter) for parameter in module.parameters()}
    return [held.detach().clone() for held in held_tensors(module) if id(held) not in parameters]


def merged(evaluating: DrawnGraph, training: DrawnGraph) -> tuple[dict[str, bool], bool]:
    """Let the program of evaluation mode ask for the mode where that of training mode has other arguments.

    Returns:
        The parts of the model that are asked for their mode, and whether that makes the programs one.

    """
    ours, theirs = list(evaluating.fx_graph.nodes), list(training.fx_graph.nodes)
    if len(ours) != len(theirs):
        return {}, False
    twin = dict(zip(theirs, ours, strict=True))
    places: list[tuple[fx.Node, Any]] = []
    for one, other in zip(ours, theirs, strict=True):
        if one.op != other.op or (one.op != "output" and one.target != other.target):
            return {}, False
        asked = _asked((one.args, one.kwargs), (other.args, other.kwargs), twin)
        if asked is None:
            return {}, False
        if asked != (one.args, one.kwargs):
            places.append((one, asked))
    parts = {}
    for node, (args, kwargs) in places:
        path = str(node.meta.get(PATH, ""))
        parts[path] = True
        with evaluating.fx_graph.inserting_before(node):
            mode = evaluating.fx_graph.create_node("get_attr", f"{path}.training".lstrip("."))
        node.args, node.kwargs = _filled(args, mode), _filled(kwargs, mode)
    return parts, True


def _filled(structure: Any, mode: fx.Node) -> Any:
    return map_aggregate(structure, lambda leaf: mode if leaf is MODE else leaf)


class _Mode:
    """Stands for the mode in arguments."""


MODE: Any = _Mode()


def _asked(one: Any, other: Any, twin: Mapping[fx.Node, fx.Node]) -> Any:
    """Return arguments with `MODE` where one has False and the other True; None where they differ otherwise."""
    if isinstance(one, fx.Node) or isinstance(other, fx.Node):
        return one if isinstance(other, fx.Node) and twin.get(other) is one else None
    if one is False and other is True:
        return MODE
    if isinstance(one, tuple | list) and isinstance(other, tuple | list) and len(one) == len(other):
        parts = [_asked(a, b, twin) for a, b in zip(one, other, strict=True)]
        missing = [part is None and a is not None for part, a in zip(parts, one, strict=True)]
        return None if any(missing) else (tuple(parts) if isinstance(one, tuple) else parts)
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        parts_by = {name: _asked(part, other[name], twin) for name, part in one.items()}
        return None if any(parts_by[name] is None and part is not None for name, part in one.items()) else parts_by
    if isinstance(one, slice) and isinstance(other, slice):
        inner = _asked([one.start, one.stop, one.step], [other.start, other.stop, other.step], twin)
        return None if inner is None else one
    return one if type(one) is type(other) and one == other else None
