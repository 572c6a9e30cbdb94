"""From a finished trace to the graph: channels numbered, spaces cut, pins and reach of each space written down."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from torch import nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.contract_steps import Contract, WeightStep
from winnow.engine.graph.drawing import Drawn
from winnow.engine.graph.finishing import classes, place_constants
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.grids import close_all, is_grid, tied_over
from winnow.engine.graph.layer_steps import ProductStep, StreamNormStep
from winnow.engine.graph.observer import GraphEvent
from winnow.engine.graph.partition import FIXED, Labels
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.records import Depthwise, Flow, Join, Mix, Product, Site
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentStep
from winnow.engine.graph.running import Running
from winnow.engine.graph.sized import Context, Decision, Origin
from winnow.engine.graph.spaces import Slice, Space, gathered, names, slices

MAPPED = (
    ProductStep,
    Contract,
    WeightStep,
    StreamNormStep,
    RecurrentStep,
    CellStep,
)  # steps that know channels by their labels
Ends = Mapping[str, Labels]
Use = TypeVar("Use", Product, Depthwise)


@dataclass(frozen=True, eq=False)
class Passes:
    """What the passes of a model gave: one recording, and the ends of each pass as carriers by their paths."""

    recording: Recording
    ends: Sequence[tuple[Mapping[str, Any], Any]]
    drawn: Drawn | None
    calls: tuple[Call, ...]
    events: tuple[GraphEvent, ...]
    decisions: tuple[Decision, ...]
    contexts: tuple[Context, ...]
    numbers: Mapping[Origin, str]
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    modes_alike: bool
    rewritten: tuple[str, ...]


def built_graph(model: nn.Module, passes: Passes) -> ChannelGraph:
    """Return the graph of a model from its passes."""
    recording = passes.recording
    inputs, outputs, number = _closed(passes)
    flows = tuple(flow.mapped(number) for flow in recording.flows)
    sites = tuple(replace(site, channels=number[site.channels]) for site in recording.sites.values())
    ends = _channels(inputs, number, "input"), _channels(outputs, number, "output")
    count = int(number.max()) + 1
    unmade = _distinct(number[np.concatenate([np.zeros(1, np.int64), *(part.ravel() for part in recording.unmade)])])
    joins = [Join(join.name, number[join.channels]) for join in recording.joins]
    return ChannelGraph(
        model=model,
        program=passes.drawn.fx_graph if passes.drawn else None,
        tensor_constants=passes.drawn.constants if passes.drawn else {},
        count=count,
        sites=sites,
        spaces=_spaces(count, sites, flows, ends, joins, unmade),
        products=_once([flow for flow in flows if isinstance(flow, Product)], recording.first),
        depthwise=_once([u.mapped(number) for u in recording.layer_uses if isinstance(u, Depthwise)], recording.first),
        flows=flows,
        steps=tuple(step.mapped(number) if isinstance(step, MAPPED) else step for step in recording.steps),
        ends={name or "output": tuple(carrier.index for carrier in carriers) for name, carriers in outputs.items()},
        carriers=tuple(_numbered(carrier, number) for carrier in recording.carriers),
        inputs=ends[0],
        outputs=ends[1],
        unmade=unmade,
        norms_after=_norms_after(recording),
        fixed_sizes=passes.drawn is not None and passes.drawn.fixed_sizes,
        calls=passes.calls,
        events=passes.events,
        decisions=passes.decisions,
        contexts=passes.contexts,
        pinned=tuple(dict.fromkeys(recording.not_understood)),
        whole_macs=tuple(recording.whole_macs),
        direct=dict(recording.direct),
        rewritten=passes.rewritten,
        unused=passes.unused,
        notes=passes.notes,
        modes_alike=passes.modes_alike,
    )


def _closed(passes: Passes) -> tuple[Mapping[str, list[Carrier]], Mapping[str, list[Carrier]], Labels]:
    """Close what is open in a recording; return the model's inputs and outputs, and the class of every label."""
    recording = passes.recording
    inputs, outputs = (_joined([dict(_ends(ends[side])) for ends in passes.ends]) for side in (0, 1))
    _pin_numbers(recording, passes.numbers)
    close_all(recording)
    place_constants(recording)
    every = [carrier for carriers in (*inputs.values(), *outputs.values()) for carrier in carriers]
    return inputs, outputs, classes(recording, every)


def _numbered(carrier: Carrier, number: Labels) -> Carrier:
    labels = number[carrier.labels]
    return Carrier(carrier.index, carrier.node, carrier.shape, labels, carrier.bears, carrier.storage)


def _channels(ends: Mapping[str, list[Carrier]], number: Labels, unnamed: str) -> dict[str, Labels]:
    """Return the channels of each end of the model, by its name, or `unnamed` where it has none."""
    return {
        name or unnamed: _distinct(number[np.concatenate([carrier.labels.ravel() for carrier in carriers])])
        for name, carriers in ends.items()
    }


def _joined(parts: Sequence[Mapping[str, Carrier]]) -> dict[str, list[Carrier]]:
    found: dict[str, list[Carrier]] = {}
    for part in parts:
        for name, carrier in part.items():
            found.setdefault(name, []).append(carrier)
    return found


def _once(uses: Sequence[Use], first: int) -> tuple[Use, ...]:
    """Return the uses of layers in the first pass, and those of layers that only later passes use.

    `first` counts the tensors of the first pass.
    """
    known = {use.weight for use in uses if use.result < first}
    return tuple(use for use in uses if use.result < first or use.weight not in known)


def _pin_numbers(recording: Recording, numbers: Mapping[Origin, str]) -> None:
    """Enter that channels stay whose number the program takes for a number."""
    for (source, axis), path in numbers.items():
        if isinstance(source, str):
            site = recording.sites.get((source, axis))
            labels = None if site is None else site.channels
        else:
            labels = _counted(recording, recording.carriers[source].labels, axis)
        if labels is not None:
            reason = "its number of channels is used as a number"
            recording.flows.append(Mix(path or "the model itself", reason, np.unique(labels), np.array([FIXED])))


def _counted(recording: Recording, labels: Labels, axis: int) -> Labels | None:
    """Return the channels whose number an axis tells; in a grid it is made whole along that axis instead."""
    found = squeezed(recording.partition.roots(labels))
    if is_grid(found) and found.shape[axis] > 1:
        found = tied_over(recording, found, (axis % found.ndim,))
    return found.ravel() if found.shape[axis] > 1 else None


def _distinct(labels: Labels) -> Labels:
    return np.unique(labels)


def _ends(structure: Any, name: str = "") -> Iterator[tuple[str, Carrier]]:
    """Yield the carriers in a structure, each by its path of keys."""
    if isinstance(structure, Running):
        structure = structure.carried
    if isinstance(structure, Carrier):
        yield name, structure
    items: Any = ()
    if isinstance(structure, Mapping):
        items = structure.items()
    elif isinstance(structure, tuple | list):
        items = enumerate(structure)
    for key, part in items:
        yield from _ends(part, f"{name}.{key}" if name else str(key))


def _spaces(
    count: int,
    sites: Sequence[Site],
    flows: Sequence[Flow],
    ends: tuple[Ends, Ends],
    joins: Sequence[Join],
    unmade: Labels,
) -> tuple[Space, ...]:
    inputs, outputs = ends
    mixes = [flow for flow in flows if isinstance(flow, Mix)]
    lists = [*inputs.values(), *(site.channels for site in sites), *outputs.values(), *(mix.sources for mix in mixes)]
    members = gathered(count, lists)
    space_of, place_in = np.full(count, -1), np.zeros(count, np.int64)
    for space, channels in enumerate(members):
        space_of[channels], place_in[channels] = space, np.arange(len(channels))
    parts: dict[int, list[Slice]] = defaultdict(list)
    sizes = np.array([len(channels) for channels in members], np.int64)
    for space, part in slices(sites, space_of, place_in, sizes):
        parts[space].append(part)
    reached = {name: _reached(count, flows, channels) for name, channels in outputs.items()}
    inner = [[part for part in parts[space] if part.role != "reader"] for space in range(len(members))]
    titles = names(inner, members, joins)
    mixes = [mix for mix in mixes if _matters(mix, reached)]
    return tuple(
        Space(
            titles[space],
            channels,
            tuple(parts[space]),
            inputs=_touching(channels, inputs),
            outputs=_touching(channels, outputs),
            pins=_pins(channels, mixes, unmade if not _touching(channels, inputs) else unmade[:0]),
            reaches=tuple(name for name, found in reached.items() if found[channels].any()),
        )
        for space, channels in enumerate(members)
    )


def _matters(mix: Mix, reached: Mapping[str, np.ndarray[Any, np.dtype[np.bool_]]]) -> bool:
    """Whether an output could depend on a mix; attention weights that nobody looks at, say, pin nothing."""
    return FIXED in mix.results or not mix.node or any(found[mix.results].any() for found in reached.values())


def _pins(channels: Labels, mixes: Sequence[Mix], unmade: Labels) -> tuple[str, ...]:
    reasons = [f"{mix.layer}: {mix.reason}" for mix in mixes if np.isin(channels[0], mix.sources)]
    if np.isin(channels[0], unmade):
        reasons.append("no layer makes it")
    return tuple(dict.fromkeys(reasons))


def _touching(channels: Labels, ends: Ends) -> tuple[str, ...]:
    return tuple(name for name, members in ends.items() if np.isin(channels[0], members))


def _reached(count: int, flows: Sequence[Flow], output: Labels) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which channels could matter for an output, whatever the weights."""
    reached = np.zeros(count, bool)
    reached[output] = True
    before = -1
    while before < reached.sum():
        before = int(reached.sum())
        for flow in reversed(flows):
            sources, results = (flow.columns, flow.rows) if isinstance(flow, Product) else (flow.sources, flow.results)
            if reached[results].any():
                reached[sources] = True
    reached[FIXED] = False
    return reached


def _norms_after(recording: Recording) -> dict[str, str]:
    """Return the one batch norm that directly follows a layer, by its weight's name, where there is just one."""
    layer_of = {use.result: use.weight for use in recording.layer_uses}
    after: dict[str, set[str]] = defaultdict(set)
    for norm, source in recording.norms:
        if source in layer_of:
            after[layer_of[source]].add(norm)
    return {layer: norms.pop() for layer, norms in after.items() if len(norms) == 1}
