"""Groups of one channel each: everything that writes it and everything that reads it, wherever that stands.

The channel graph says what these are: the filters, biases and norms of every writer across a residual sum, and the
columns of every reader, heads included. A group that is zero is a channel that can be removed, always
(DepGraph, Fang et al. 2023; zero-invariant groups, Chen et al. 2021).

Every weight inside the model lies in two groups, that of its output and that of its input channel; see
`engine.sparsity.groups.bank`. A convolution in g blocks has its channels tied across the blocks, position by position,
so one group holds that position of each block. Channels that cannot go have no group: those of the model's inputs and
outputs, and those that something mixes (`Space.pins` says what).

An expert of a mixture has one group, its last layer (`engine.graph.experts`). Its rows are no members of the mixture's
channels then: such a channel is what reads it, and goes where that is zero.
"""

import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from torch import nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.spaces import Slice, Space
from winnow.engine.graph.trace import trace
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.sparsity.groups.axis import Axis, Group
from winnow.engine.sparsity.groups.layerwise import expert_groups, refuse_computed


def coupled_groups(
    model: nn.Module, example_inputs: Any, *, within: Sequence[str] = (), graph: ChannelGraph | None = None
) -> list[Group]:
    """Return one group per channel that can be removed: all writers' rows, biases, γ, β, and all readers' columns.

    Args:
        model: the whole model, so that every reader is known.
        example_inputs: what `trace` takes.
        within: names of submodules, such as ("trunk",); only channels are grouped whose writers are all in one of
            them. Their readers belong to the group wherever they are. Empty: the whole model.
        graph: the model's graph, if it was traced already.

    Raises:
        NotTraceable: the model's channels cannot be followed.
        TypeError: a weight is masked or parametrized.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> groups = coupled_groups(net, torch.ones(1, 4))
        >>> len(groups), len(groups[0].members)  # a hidden channel: its row, its bias, its column
        (3, 3)

    """
    model, _ = unwrapped(model)
    refuse_computed(model)
    refuse_unknown(model, within)
    graph = trace(model, example_inputs) if graph is None else graph
    mixed = expert_groups(graph, "coupled")
    own = {id(axis.parameter) for group in mixed.values() for axis in group.members}
    every = dict(graph.model.named_parameters(remove_duplicate=False))
    found: list[Group] = []
    for space in removable_spaces(graph, within):
        found += _groups(space, every, own)
    found += [group for layer, group in mixed.items() if _within(layer, within)]
    if not found:
        warnings.warn(_why_none(graph, within), stacklevel=2)
    return found


def refuse_unknown(model: nn.Module, within: Sequence[str]) -> None:
    """Raise where a name of `within` is no module of the model: nothing would be in it.

    Raises:
        ValueError: a name without a module; it is named, with those that there are.

    """
    if isinstance(within, str):
        raise ValueError(f"`within` must be a sequence of names, got the text {within!r}. Write ({within!r},).")
    known = {name for name, _ in [*model.named_modules(remove_duplicate=False), *model.named_parameters()]}
    if unknown := [name for name in within if name not in known]:
        children = ", ".join(name for name, _ in model.named_children()) or "none"
        raise ValueError(f"`within` must name modules of the model, such as {children}, got {', '.join(unknown)}.")


def _why_none(graph: ChannelGraph, within: Sequence[str]) -> str:
    """Return why no channel can go: what holds those that are made in `within`."""
    made = [space for space in graph.spaces if space.writers and _inside(space, within)]
    pins = list(dict.fromkeys(pin for space in made for pin in space.pins))
    ends = "they are outputs of the model" if any(space.outputs for space in made) else ""
    why = "; ".join([*pins[:3], *([ends] if ends else [])]) or "no convolution or linear layer makes one"
    return f"No group: no channel can be removed. {why[:1].upper()}{why[1:]}. Use input_groups or output_groups."


def channel_groups(graph: ChannelGraph, within: Sequence[str] = ()) -> list[Group]:
    """Return the coupled group of every channel of `removable_spaces`, in order; experts have none of their own."""
    refuse_computed(graph.model)
    parameters = dict(graph.model.named_parameters(remove_duplicate=False))
    return [group for space in removable_spaces(graph, within) for group in _groups(space, parameters, set())]


def removable_spaces(graph: ChannelGraph, within: Sequence[str] = ()) -> list[Space]:
    """Return the spaces whose channels can go, in order: one coupled group for each channel of each."""
    return [space for space in graph.spaces if space.removable and _inside(space, within)]


def _inside(space: Space, within: Sequence[str]) -> bool:
    makers = [part.layer for part in space.slices if part.role in ("writer", "depthwise")]
    return all(_within(layer, within) for layer in makers)


def _within(layer: str, names: Sequence[str]) -> bool:
    return not names or any(f"{layer}.".startswith(f"{name}.") for name in names)


def _groups(space: Space, parameters: dict[str, nn.Parameter], others: Collection[int]) -> Iterator[Group]:
    """Yield the groups of a space; what makes its channels in parameters of `others` belongs to other groups."""
    slices = [part for part in space.slices if part.parameter in parameters]
    slices = [part for part in slices if part.role == "reader" or id(parameters[part.parameter]) not in others]
    if not slices:
        return
    if all(part.length == len(space.channels) for part in slices):
        members = tuple(_axis(part, parameters) for part in slices)
        yield from (Group(space.name, channel, "coupled", members) for channel in range(len(space.channels)))
        return
    for channel in range(len(space.channels)):  # some axis lists the channels in another order: one bank for each
        yield Group(f"{space.name}[{channel}]", 0, "coupled", tuple(_single(slices, channel, parameters)))


def _axis(part: Slice, parameters: dict[str, nn.Parameter]) -> Axis:
    return Axis(parameters[part.parameter], part.axis, 1, part.start, part.length, part.repeat)


def _single(slices: Sequence[Slice], channel: int, parameters: dict[str, nn.Parameter]) -> Iterator[Axis]:
    for part in slices:
        if part.first <= channel < part.first + part.length:
            start = part.start + (channel - part.first) * part.repeat
            yield Axis(parameters[part.parameter], part.axis, 1, start, 1, part.repeat)
