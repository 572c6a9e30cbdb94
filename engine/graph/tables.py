"""The state of a channel graph as frames: one row per channel, and what removal would save per component."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from torch import nn

from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.records import Depthwise, Mix, Product
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentStep
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.steps import Step

NAMED = 3  # readers listed by name in a sentence


def channel_table(liveness: Liveness) -> pd.DataFrame:
    """Return one row per channel of the model.

    Columns: space, channel (its place in the space), removable, blocked (why not, in words; empty if removable),
    readers (uses of layers that could read it), using (those that still do), constant (the number that all its readers
    see, NaN if it varies or they differ), outputs (the model's outputs that it can reach, comma-separated).
    """
    counts = _Counts(liveness)
    parts = [_rows(liveness, space, counts) for space in liveness.graph.spaces]
    columns = ["space", "channel", "removable", "blocked", "readers", "using", "constant", "outputs"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


class _Counts:
    """For each channel: how many uses of layers read it, how many use it, and by which products."""

    def __init__(self, liveness: Liveness) -> None:
        graph = liveness.graph
        self.readers, self.using = np.zeros(graph.count, np.int64), np.zeros(graph.count, np.int64)
        self.constant = np.full(graph.count, np.nan)
        self.users: list[tuple[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]] = []
        seen = np.zeros(graph.count, bool)
        for product in graph.products:
            mask, read = np.zeros(graph.count, bool), np.zeros(graph.count, bool)
            read[product.columns] = True
            mask[product.columns[liveness.used[product.result]]] = True
            self.readers += read
            self.using += mask
            self.users.append((product.layer, mask))
            value = np.full(graph.count, np.nan)
            value[product.columns] = constants = liveness.constants[product.result]
            value[product.columns[value[product.columns] != constants]] = np.nan  # a channel in two columns
            self.constant = np.where(read & seen & (value != self.constant), np.nan, self.constant)
            self.constant = np.where(read & ~seen, value, self.constant)
            seen |= read


def _rows(liveness: Liveness, space: Space, counts: _Counts) -> pd.DataFrame:
    members = space.channels
    removable = ~liveness.kept[members]
    readers, using = counts.readers[members], counts.using[members]
    return pd.DataFrame(
        {
            "space": space.name,
            "channel": np.arange(len(members)),
            "removable": removable,
            "blocked": np.where(removable, "", _reasons(liveness, space, counts)),
            "readers": readers,
            "using": using,
            "constant": counts.constant[members],
            "outputs": ", ".join(space.reaches),
        }
    )


def _reasons(liveness: Liveness, space: Space, counts: _Counts) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """Return why each channel stays, as if it did."""
    members = space.channels
    fixed = _fixed_reason(liveness, space)
    reasons = np.full(len(members), fixed, object)
    if fixed:
        return reasons
    users = [(layer, mask[members]) for layer, mask in counts.users if mask[members].any()]
    patterns = np.stack([mask for _, mask in users], 1) if users else np.zeros((len(members), 0), bool)
    for pattern in np.unique(patterns, axis=0):
        who = [layer for (layer, _), on in zip(users, pattern, strict=True) if on]
        listed = ", ".join(who[:NAMED]) + (", …" if len(who) > NAMED else "")
        at = (patterns == pattern).all(1)
        total = int(counts.readers[members][at].max())
        still = "uses" if len(who) == 1 else "use"
        reasons[at] = f"{space.name}: {total} reader{'s' * (total != 1)}, {len(who)} still {still} it ({listed})"
    return reasons


def _fixed_reason(liveness: Liveness, space: Space) -> str:
    """Return a reason that holds whatever the readers' weights."""
    if space.inputs:
        return f"{space.name}: the model's input {space.inputs[0]}"
    if alive := [name for name in space.outputs if name in liveness.outputs]:
        return f"{space.name}: the model's output {alive[0]}"
    mixes = [flow for flow in liveness.graph.flows if isinstance(flow, Mix) and liveness.needed(flow)]
    for mix in mixes:
        if np.isin(space.channels[0], mix.sources):
            return f"{space.name}: {mix.layer} {mix.reason}"
    return "" if space.writers else f"{space.name}: no layer makes it"


def savings(liveness: Liveness) -> pd.DataFrame:
    """Return a row per component (trunk, each head) and a last one, `total`.

    Columns: component; parameters, macs (of one image); removable_parameters, removable_macs: how much of them goes
    when every channel goes that no reader uses; gathered_macs: how much goes when, besides, every reader gathers the
    channels that it uses from those that stay. MACs that are not known are NaN, and so is their total.
    """
    graph = liveness.graph
    rows = {name: [0, 0.0, 0, 0.0, 0.0] for name in component_table(graph.model)}
    for name, parameter in graph.model.named_parameters():
        row = rows[component(graph.model, name)]
        row[0] += parameter.numel()
        row[2] += parameter.numel() - _left(liveness, name, tuple(parameter.shape))
    for weight, counts in _uses(liveness):
        row = rows.setdefault(component(graph.model, weight), [0, 0.0, 0, 0.0, 0.0])
        for place, macs in zip((1, 3, 4), counts, strict=True):
            row[place] += macs
    columns = ["component", "parameters", "macs", "removable_parameters", "removable_macs", "gathered_macs"]
    frame = pd.DataFrame([[name, *row] for name, row in rows.items()], columns=columns)
    frame.loc[len(frame)] = ["total", *frame.drop(columns="component").sum(skipna=False)]
    return frame.astype({"parameters": int, "removable_parameters": int})


def _uses(liveness: Liveness) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Yield every use of a layer by a weight of it: its MACs, how many go with dead channels, and with gathers too."""
    graph = liveness.graph
    yield from ((product.weight, product_macs(liveness, product)) for product in graph.products)
    yield from ((layer.weight, depthwise_macs(liveness, layer)) for layer in graph.depthwise)
    for step in recurrent_uses(graph.steps):
        yield step.levels[0].weight_ih, recurrent_macs(liveness, step)
    yield from ((weight, (macs, 0.0, 0.0)) for weight, macs in graph.whole_macs)


def component_table(model: nn.Module) -> list[str]:
    """Return the parts of a model that are reported apart: its children, and the entries of those that are dicts."""
    named = [name for name, _ in model.named_parameters()] + [name for name, _ in model.named_buffers()]
    return list(dict.fromkeys(component(model, name) for name in named))


def component(model: nn.Module, parameter: str) -> str:
    """Return the component that a parameter belongs to."""
    first, _, rest = parameter.partition(".")
    if not rest:
        return type(model).__name__.lower()
    if isinstance(model.get_submodule(first), nn.ModuleDict):
        return f"{first}.{rest.partition('.')[0]}"
    return first


def _left(liveness: Liveness, name: str, shape: tuple[int, ...]) -> int:
    """Return how many entries of a parameter stay."""
    extent = list(shape)
    for site in liveness.graph.sites:
        if site.parameter == name:
            extent[site.axis] = int(liveness.kept[site.channels].sum())
    return int(np.prod(extent))


def product_macs(liveness: Liveness, product: Product) -> tuple[float, float, float]:
    """Return the MACs of a product, how many go with dead channels, and how many with gathers too."""
    rows, columns = liveness.kept[product.rows].sum(), liveness.kept[product.columns].sum()
    used = liveness.used[product.result].sum()
    whole = product.macs * len(product.rows) * len(product.columns)
    return whole, whole - product.macs * float(rows * columns), whole - product.macs * float(rows * used)


def depthwise_macs(liveness: Liveness, layer: Depthwise) -> tuple[float, float, float]:
    """Return the MACs of a layer with a kernel per channel, how many go with dead channels, and the same again."""
    gone = layer.macs * int((~liveness.kept[layer.channels]).sum())
    return layer.macs * len(layer.channels), gone, gone


def recurrent_uses(steps: Iterable[Step]) -> list[RecurrentStep | CellStep]:
    """Return the recurrent layers among the steps of a graph, and each use of a cell."""
    return [step for step in steps if isinstance(step, RecurrentStep | CellStep)]


def recurrent_macs(liveness: Liveness, step: RecurrentStep | CellStep) -> tuple[float, float, float]:
    """Return the MACs of a recurrent layer, how many go with dead channels, and the same again."""
    whole = left = 0.0
    for level in step.levels:
        for name in (level.weight_ih, level.weight_hh):
            shape = tuple(liveness.graph.model.get_parameter(name).shape)
            whole += level.places * math.prod(shape)
            left += level.places * _left(liveness, name, shape)
    return whole, whole - left, whole - left
