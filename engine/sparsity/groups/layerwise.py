"""Groups of one layer each: what it reads from an input channel, or what it writes to an output channel."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize
from torch.nn.utils.prune import is_pruned

from winnow.engine.graph.experts import experts
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.recurrent import RECURRENT
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.trace import trace
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.sparsity.groups.axis import Axis, Group, Kind

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def input_groups(module: nn.Module, *, graph: ChannelGraph | None = None) -> list[Group]:
    """Return one group per input channel of every convolution and linear layer in `module`: the paper's groups.

    Convolution (O, I, k, k): W[:, i], O·k² weights. Grouped in g parts: channel i is read by its own part only, so
    O/g·k² weights. Transposed (I, O, k, k): W[i]. Linear (O, I): the column W[:, i]. Biases and norms belong to no
    input channel. A parameter that two modules share is grouped once. With the model's `graph`, what reads heads of
    attention has one group per head: all d columns of it. Source: Upadhyay et al., arXiv 2308.12114.

    Examples:
        >>> len(input_groups(nn.Linear(4, 2)))  # one group per input channel
        4

    """
    found: list[Group] = []
    module, _ = unwrapped(module)
    refuse_computed(module)
    for name, layer in _layers(module):
        if graph is not None and (heads := _by_head(graph, (name, "input"), _weight(layer), 1)):
            found += heads
            continue
        if isinstance(layer, CONVOLUTIONS):
            members = (Axis(_weight(layer), axis=1, blocks=layer.groups),)
        else:
            members = (Axis(_weight(layer), axis=0 if isinstance(layer, TRANSPOSED) else 1),)
        found += [Group(name, channel, "input", members) for channel in range(members[0].channels)]
    found += [] if graph is None else recurrent_groups(graph, "input")
    return _or_say_why(found, module)


def output_groups(model: nn.Module, example_inputs: Any = None, *, graph: ChannelGraph | None = None) -> list[Group]:
    """Return one group per output channel of every convolution and linear layer: filter W[o], bias, and γ_o and β_o.

    The norm is the batch norm directly behind the layer, which only the traced graph knows: without `example_inputs`
    a group is filter and bias, with them γ and β belong to it and the channels of the model's outputs are left out.
    With γ and β a zero group is a channel that is exactly 0 downstream; without them batch norm makes it a constant.
    Transposed convolutions (I, O, k, k): W[:, o]. A parameter that two modules share is grouped once. A `graph` that
    was traced already serves as well as an example. What makes heads of attention has one group per head then: all its
    rows (of queries, keys and values alike where one layer makes them) and their biases. The last layer of an expert
    (`engine.graph.experts`) is one group, with its bias and norms: where it is zero, the expert adds nothing.

    Raises:
        NotTraceable: with `example_inputs`, if the model's channels cannot be followed.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> len(output_groups(net, torch.ones(1, 4)))  # the hidden channels; what the model gives out is no group
        3

    """
    model, _ = unwrapped(model)
    if graph is None and example_inputs is not None:
        graph = trace(model, example_inputs)
    found: list[Group] = []
    refuse_computed(model)
    mixed = expert_groups(graph, "output") if graph is not None else {}
    for name, layer in _layers(model):
        if name in mixed:
            found.append(mixed[name])
            continue
        if graph is not None and (heads := _by_head(graph, (name, "output"), _weight(layer), 0)):
            found += heads
            continue
        members = [_filters(layer)]
        if isinstance(layer.bias, nn.Parameter):
            members.append(Axis(layer.bias, axis=0))
        hidden = np.ones(members[0].channels, bool)
        if graph is not None:
            members += _norm_after(graph, members[0])
            hidden = ~_reaching(graph, members[0])
        found += [Group(name, channel, "output", tuple(members)) for channel in np.flatnonzero(hidden).tolist()]
    found += [] if graph is None else [*_attention_heads(graph), *recurrent_groups(graph, "output")]
    return _or_say_why(found, model)


def expert_groups(graph: ChannelGraph, kind: Kind) -> dict[str, Group]:
    """Return a group per expert of a mixture, by its last layer's name: all that must be zero for it to be idle."""
    parameters = dict(graph.model.named_parameters())
    taken: set[str] = set()
    found: dict[str, Group] = {}
    for expert in experts(graph):
        own = [name for name in expert.parameters if name in parameters]
        if taken & set(own) or not own or parameters[own[0]].dim() < 2:
            continue
        taken |= set(own)
        members = tuple(Axis(parameters[name], 0, 1, 0, 1, len(parameters[name])) for name in own)
        found[expert.layer] = Group(expert.name, 0, kind, members, apart=True)
    return found


def recurrent_groups(graph: ChannelGraph, kind: Kind) -> list[Group]:
    """Return the groups of LSTM, GRU, RNN and their cells that the graph follows.

    output: a hidden unit, with its rows of every gate in W_ih and W_hh and its biases, at all levels and directions,
    which have one width. input: a column of W_ih of each level and direction, and a column of W_hh of each.
    """
    parameters, found = dict(graph.model.named_parameters()), list[Group]()
    sites = {(site.parameter, site.axis): site for site in graph.sites}
    for path, layer in graph.model.named_modules():
        names = [f"{path}.{name}".lstrip(".") for name in layer._parameters]
        names = [name for name in names if name in parameters and (name, 0) in sites]
        if not isinstance(layer, RECURRENT) or not names:
            continue
        if kind == "input":
            columns = [name for name in names if (name, 1) in sites]
            axes = [(name, Axis(parameters[name], 1)) for name in columns]
            found += [Group(name, i, kind, (axis,)) for name, axis in axes for i in range(axis.channels)]
            continue
        width = layer.hidden_size
        starts = [(parameters[name], start) for name in names for start in range(0, len(parameters[name]), width)]
        members = tuple(Axis(parameter, 0, 1, start, width) for parameter, start in starts)
        found += [Group(path, unit, kind, members) for unit in range(width)]
    return found


def _attention_heads(graph: ChannelGraph) -> list[Group]:
    """Return a group per head of every `nn.MultiheadAttention`: its rows of queries, keys and values, and biases."""
    parameters = dict(graph.model.named_parameters())
    layers = [path for path, layer in graph.model.named_modules() if isinstance(layer, nn.MultiheadAttention)]
    found: list[Group] = []
    for path, space in ((path, space) for path in layers for space in graph.spaces if _has_heads(space)):
        parts = [part for part in space.slices if part.parameter.rpartition(".")[0] == path]
        members = tuple(Axis(parameters[p.parameter], p.axis, 1, p.start, p.length, p.repeat) for p in parts)
        found += [Group(path, channel, "output", members) for channel in range(len(space.channels)) if members]
    return found


def _by_head(graph: ChannelGraph, use: tuple[str, Kind], weight: nn.Parameter, axis: int) -> list[Group]:
    """Return a group per head that a layer makes (axis 0, with the biases) or reads (axis 1); none if it is not all."""
    layer, kind = use
    parameters = dict(graph.model.named_parameters(remove_duplicate=False))
    own = {name for name, parameter in parameters.items() if parameter is weight}
    own |= {f"{name.removesuffix('weight')}bias" for name in own if axis == 0}
    found: list[Group] = []
    covered = 0
    for space in graph.spaces:
        parts = [part for part in space.slices if part.parameter in own and part.parameter in parameters]
        parts = [part for part in parts if part.role in ("writer", "reader") and part.axis in (axis, 0)]
        parts = [part for part in parts if parameters[part.parameter] is not weight or part.axis == axis]
        if not parts or not _has_heads(space):
            continue
        members = tuple(Axis(parameters[p.parameter], p.axis, 1, p.start, p.length, p.repeat) for p in parts)
        covered += sum(member.channels * member.repeat for member in members if member.parameter is weight)
        groups = [Group(layer, channel, kind, members) for channel in range(len(space.channels))]
        found += groups if not space.outputs else []
    return found if covered == weight.shape[axis] else []


def _has_heads(space: Space) -> bool:
    """Whether channels of a space are made of several rows of a layer each, side by side."""
    whole = all(part.length == len(space.channels) for part in space.slices)
    return whole and any(part.repeat > 1 for part in space.writers)


def refuse_computed(module: nn.Module) -> None:
    """Raise if a weight or bias is computed from other parameters: no step on those makes a group of it zero.

    Raises:
        TypeError: masks of `torch.nn.utils.prune`, parametrizations, weight norm, spectral norm.

    """
    for path, layer in module.named_modules():
        for name in ("weight", "bias"):
            if isinstance(getattr(layer, name, None), Tensor) and not isinstance(getattr(layer, name), nn.Parameter):
                _refuse_if_computed(f"{path}.{name}".lstrip("."), layer, name)


def _refuse_if_computed(full_name: str, layer: nn.Module, name: str) -> None:
    if parametrize.is_parametrized(layer, name):
        way = f"torch.nn.utils.parametrize.remove_parametrizations(layer, '{name}')"
    elif f"{name}_mask" in layer._buffers and is_pruned(layer):
        way = f"torch.nn.utils.prune.remove(layer, '{name}')"
    elif any(own.startswith(f"{name}_") for own in layer._parameters):
        way = "remove_weight_norm or remove_spectral_norm of torch.nn.utils"
    else:
        return  # a buffer, or a tensor of the layer's own
    raise TypeError(
        f"`{full_name}` must be a parameter, got a tensor that is computed from others at each pass. Call {way} and "
        "make the optimiser again, or leave the layer out."
    )


def _or_say_why(found: list[Group], module: nn.Module) -> list[Group]:
    """Return the groups; where there are none, warn of what holds the weights."""
    if not found:
        holders = [
            f"{path or 'the module itself'} ({type(layer).__name__})"
            for path, layer in module.named_modules()
            if any(parameter.dim() > 1 for parameter in layer.parameters(recurse=False))
        ]
        if holders:
            warnings.warn(
                f"No group: there is no convolution or linear layer. The weights are in {', '.join(holders[:5])}. "
                "Define groups with Axis and Group of engine.sparsity.groups, or use nn.Linear or nn.Conv2d.",
                stacklevel=3,
            )
    return found


def _layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield every convolution and linear layer by name, of those that share a weight the first."""
    seen: set[int] = set()
    for name, layer in module.named_modules():
        if not isinstance(layer, CONVOLUTIONS + TRANSPOSED + (nn.Linear,)):
            continue
        if id(_weight(layer)) not in seen and _weight(layer).numel():  # what holds no weight has no group
            seen.add(id(_weight(layer)))
            yield name or type(layer).__name__.lower(), layer


def _weight(layer: nn.Module) -> nn.Parameter:
    weight = layer.weight
    if isinstance(weight, UninitializedParameter):
        raise ValueError(
            f"`module` must hold weights with a shape, got an uninitialised {type(layer).__name__}. Run the model once "
            "on an example, then make the optimiser and the groups."
        )
    if not isinstance(weight, nn.Parameter):
        raise TypeError(f"`module` must hold plain parameters, got a weight of type {type(weight).__name__}.")
    return weight


def _filters(layer: Any) -> Axis:
    if isinstance(layer, TRANSPOSED):
        return Axis(_weight(layer), axis=1, blocks=layer.groups)
    return Axis(_weight(layer), axis=0)


def _norm_after(graph: ChannelGraph, filters: Axis) -> list[Axis]:
    weight = next(name for name, parameter in graph.model.named_parameters() if parameter is filters.parameter)
    if weight not in graph.norms_after:
        return []
    norm = graph.model.get_submodule(graph.norms_after[weight])
    affine = [getattr(norm, name) for name in ("weight", "bias")]
    return [Axis(parameter, axis=0) for parameter in affine if isinstance(parameter, nn.Parameter)]


def _reaching(graph: ChannelGraph, filters: Axis) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which filters write a channel of the model's outputs."""
    outputs = np.concatenate([np.zeros(0, np.int64), *graph.outputs.values()])
    names = [name for name, parameter in graph.model.named_parameters() if parameter is filters.parameter]
    for site in graph.sites:
        if site.parameter in names and site.axis == filters.axis:
            return np.tile(np.isin(site.channels, outputs), filters.blocks)
    return np.zeros(filters.channels, bool)


def scale_free_weights(graph: ChannelGraph) -> list[nn.Parameter]:
    """Return the weights of all layers without bias that a batch norm follows, and nothing else reads.

    The loss ignores their scale: loss(c W) = loss(W) for every c > 0 (van Laarhoven 2017), so that a penalty on the
    norm alone can fall at no loss. `engine.sparsity.proximal.Kept` takes them as the weights that keep their norm.
    """
    layers = [(name, graph.model.get_submodule(name.rpartition(".")[0])) for name in graph.norms_after]
    return [graph.model.get_parameter(name) for name, layer in layers if getattr(layer, "bias", None) is None]
