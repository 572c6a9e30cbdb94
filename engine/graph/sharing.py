"""Which layers the outputs of a model share, as its channel graph shows: a trunk and heads where nobody named them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from winnow.engine.graph.graph import ChannelGraph


@dataclass(frozen=True)
class Parts:
    """The trunk and each head of a model, as names of modules: a layer belongs to the module that its name begins with.

    `guessed`: with a single output nothing shows what others would share, and all layers count as the trunk.
    """

    trunk: tuple[str, ...]
    heads: Mapping[str, tuple[str, ...]]
    guessed: bool = False

    def within(self, scope: str) -> tuple[str, ...]:
        """Return the modules of a scope: trunk, heads or both."""
        heads = tuple(name for own in self.heads.values() for name in own)
        return {"trunk": self.trunk, "heads": heads, "both": (*self.trunk, *heads)}[scope]


def inside(layer: str, modules: Sequence[str]) -> bool:
    """Return whether a layer is one of the modules, or lies in one."""
    return any(f"{layer}.".startswith(f"{name}.") for name in modules)


def outputs_of_layers(graph: ChannelGraph) -> dict[str, tuple[str, ...]]:
    """Return, for every layer with weights, the outputs of the model that its result can reach, in their order."""
    found: dict[str, set[str]] = {}
    for space in graph.spaces:
        for part in space.slices:
            if part.role != "reader":
                found.setdefault(part.layer, set()).update(space.reaches)
    return {layer: tuple(name for name in graph.outputs if name in own) for layer, own in found.items()}


def parts_of(graph: ChannelGraph, trunk: Sequence[str] = ()) -> Parts:
    """Return the trunk and the heads of a model.

    Those of `model.trunk` and `model.heads[task]` where it has these; otherwise the trunk is what `trunk` names, or the
    layers whose results reach at least two outputs (with a single output: all layers). A head is what is not in the
    trunk and reaches one output.

    Raises:
        ValueError: `trunk` names no module, or nothing is shared.

    """
    model = graph.model
    if _has_trunk_and_heads(model) and not trunk:
        return Parts(("trunk",), {task: (f"heads.{task}",) for task in graph.outputs})
    known = {name for name, _ in model.named_modules() if name}
    if unknown := [name for name in trunk if name not in known]:
        children = ", ".join(name for name, _ in model.named_children())
        raise ValueError(f"`trunk` must name modules of the network, such as {children}, got {', '.join(unknown)}.")
    reached = outputs_of_layers(graph)
    least = min(2, len(graph.outputs))
    shared = tuple(trunk) or tuple(layer for layer, tasks in reached.items() if len(tasks) >= least)
    if not shared:
        raise ValueError(
            "`trunk` must be what several tasks share, got a network in which no layer serves two tasks. Name the "
            "modules to penalise with --trunk."
        )
    heads = {
        task: tuple(layer for layer, tasks in reached.items() if tasks == (task,) and not inside(layer, shared))
        for task in graph.outputs
    }
    return Parts(shared, heads, guessed=least == 1 and not trunk)


def shared_names(graph: ChannelGraph, trunk: Sequence[str] = ()) -> frozenset[str]:
    """Return the names of the parameters of the trunk, those of its norms included."""
    parts, named = parts_of(graph, trunk), [name for name, _ in graph.model.named_parameters()]
    if parts.trunk == ("trunk",) or trunk:
        return frozenset(name for name in named if inside(name, parts.trunk))
    least = min(2, len(graph.outputs))
    return frozenset(
        part.parameter
        for space in graph.spaces
        for part in space.slices
        if part.role != "reader" and len(space.reaches) >= least and part.parameter in named
    )


def _has_trunk_and_heads(model: nn.Module) -> bool:
    return isinstance(getattr(model, "trunk", None), nn.Module) and isinstance(
        getattr(model, "heads", None), nn.ModuleDict
    )
